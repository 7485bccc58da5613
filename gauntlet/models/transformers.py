"""A vision transformer for small images."""

from collections import OrderedDict

import torch
from torch import Tensor, nn

from gauntlet.models.initialisation import TorchInitialised
from gauntlet.spec.runs.architectures import Vit


def vit(spec: Vit, image_shape: tuple[int, int, int], classes: int) -> nn.Module:
    """A vision transformer (Dosovitskiy et al. 2021) that reads the mean over all patches (Beyer et al. 2022).

    Normalisation stands before attention and before the two dense layers of each block, as in the paper.
    """
    channels, height, width = image_shape
    patches = (height // spec.patch) * (width // spec.patch)
    block = nn.TransformerEncoderLayer(
        spec.width,
        spec.heads,
        4 * spec.width,
        dropout=spec.dropout,
        activation="gelu",
        batch_first=True,
        norm_first=True,
    )
    return TorchInitialised(
        OrderedDict(
            patches=_Patches(channels, spec.patch, spec.width, patches),
            # Without nested tensors, which exist for padded sequences.
            blocks=nn.TransformerEncoder(block, spec.depth, norm=nn.LayerNorm(spec.width), enable_nested_tensor=False),
            mean=_Mean(),
            head=nn.Linear(spec.width, classes),
        )
    )


class _Patches(nn.Module):
    """Images in patches, each a vector, with a learnt vector for its place."""

    def __init__(self, channels: int, patch: int, width: int, patches: int) -> None:
        super().__init__()
        self.embedding = nn.Conv2d(channels, width, patch, stride=patch)
        self.places = nn.Parameter(torch.empty(1, patches, width))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Places begin near zero, as in the paper's code."""
        nn.init.normal_(self.places, std=0.02)

    def forward(self, images: Tensor) -> Tensor:
        """From float [n, channels, h, w] to [n, patches, width]."""
        embedded: Tensor = self.embedding(images)
        return embedded.flatten(2).transpose(1, 2) + self.places


class _Mean(nn.Module):
    def forward(self, patches: Tensor) -> Tensor:
        """From float [n, patches, width] to [n, width]."""
        return patches.mean(dim=1)

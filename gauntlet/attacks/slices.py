"""A batch taken through a model in slices: the same results, sooner on a CPU."""

import torch
from torch import Tensor, nn

# The paper's network on 100 images of 32 × 32 pixels takes 0.7 of the whole batch's time in slices of 16 to 32: the
# activations of a slice stay in the cache between one layer and the next. docs/speed.md, "Speed of AutoAttack".
_LARGEST = 24


class Sliced(nn.Module):
    """The model, given at most 24 images at a time.

    For a model in eval mode, whose images do not know of each other. Slices are of nearly equal size, at least 12:
    torch multiplies matrices of one to three rows by other code, whose last bits differ. On Intel's processors it may
    do so with up to 15 rows, so that 25 to 31 images in slices have other last bits there than at once.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        """From float [n, c, h, w] to logits [n, classes]."""
        logits: Tensor
        if len(images) <= _LARGEST:
            logits = self.model(images)
        else:
            logits = torch.cat([self.model(part) for part in images.split(slice_sizes(len(images)))])
        return logits


class Together(nn.Module):
    """A model that must be given a batch as it is: an image's logits depend on the others in it, or on chance."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        """From float [n, c, h, w] to logits [n, classes]."""
        logits: Tensor = self.model(images)
        return logits


def slice_sizes(count: int) -> list[int]:
    """How many images each slice takes; they differ by at most one."""
    slices = -(-count // _LARGEST)
    size, larger = divmod(count, slices)
    return [size + 1] * larger + [size] * (slices - larger)


def sliced(model: nn.Module, device: torch.device) -> nn.Module:
    """The model as it is fastest for attacks on `device`: a GPU takes a batch whole."""
    return Sliced(model) if device.type == "cpu" and not isinstance(model, Together) else model

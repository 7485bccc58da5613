"""Models that draw random numbers: each image answered from numbers of its own, and expectation over transformation.

What such a model says of an image depends on how many are in its batch and on where it stands among them, for they
share one stream of random numbers. Here an image is passed beside copies of itself alone, from a seed of its own; so
what is found of it depends on no other image, and can be found again.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from gauntlet import seeding
from gauntlet.models.precision import Model


def drawn(model: Model, images: Tensor, seeds: Sequence[int], draws: int = 1) -> list[Tensor]:
    """For each of the images [n, c, h, w] the logits of so many passes over it, [draws, classes], from its seed."""
    found = []
    with seeding.own_randomness(images.device) as seeded:
        for image, seed in zip(images.split(1), seeds, strict=True):
            seeded(seed)
            found.append(model(image.expand(draws, -1, -1, -1).contiguous()))
    return found


class Expected(nn.Module):
    """Expectation over transformation (Athalye et al. 2018, arXiv 1802.00420, §4.2): a model's mean over its draws.

    It answers with the logarithm of the mean probabilities of `draws` passes. Cross-entropy of that is −log of the
    right class' expected probability; whatever an attack ascends, it ascends of this. The draws follow from the seed
    and the image as it is then, bit for bit, so they are new at every step and the same at the same point.

    Gradients are taken image by image, from passes that are done once more: memory holds one image's draws at a time.
    """

    def __init__(self, model: Model, draws: int, seed: int, purpose: str) -> None:
        super().__init__()
        self.model = model
        self._draws = draws
        self._seed, self._purpose = seed, purpose

    def forward(self, images: Tensor) -> Tensor:
        """From float32 [n, c, h, w] to float32 [n, classes]."""
        expected: Tensor
        if images.requires_grad and torch.is_grad_enabled():
            expected = _Recomputed.apply(images, self._expected)  # type: ignore[no-untyped-call]  # torch has no type for it
        else:
            expected = torch.cat(self._expected(images))
        return expected

    def _expected(self, images: Tensor) -> list[Tensor]:
        seeds = [seeding.derive(self._seed, self._purpose, seeding.content(_bytes(image))) for image in images.detach()]
        return [
            logits.log_softmax(dim=1).logsumexp(dim=0, keepdim=True) - math.log(self._draws)
            for logits in drawn(self.model, images, seeds, self._draws)
        ]


class _Recomputed(torch.autograd.Function):
    """Rows that follow each from its own image alone, without a graph that holds them all."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, rows: Callable[[Tensor], list[Tensor]]) -> Tensor:
        ctx.images, ctx.rows = images.detach(), rows
        with torch.no_grad():
            return torch.cat(rows(ctx.images))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (upstream,) = gradients
        found = []
        for image, above in zip(ctx.images.split(1), upstream.split(1), strict=True):
            given = image.clone().requires_grad_()
            with torch.enable_grad():
                (row,) = ctx.rows(given)
            reached = torch.autograd.grad(row, given, above, allow_unused=True)[0] if row.requires_grad else None
            found.append(torch.zeros_like(image) if reached is None else reached)
        return torch.cat(found), None


def _bytes(image: Tensor) -> bytes:
    return image.contiguous().cpu().numpy().tobytes()

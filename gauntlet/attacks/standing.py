"""Images that an attack works on together and that leave one by one, as soon as they are misclassified.

What becomes of an image does not depend on the others it is attacked with, nor on their order: random starts are the
same for all of a call's images, every decision is an image's own, and a few images are given to the model beside copies
of themselves, for torch multiplies matrices of one to three rows by code whose last bits differ.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from typing import Self

import torch
from torch import Tensor

from gauntlet.attacks.gradient import input_gradient, random_point
from gauntlet.models.precision import Model
from gauntlet.spec.evaluations.attacks import Norm

# From logits [n, classes], labels int64 [n] and targets int64 [n] to what is ascended, a value for each image, [n].
Objective = Callable[[Tensor, Tensor, Tensor], Tensor]

_FEWEST_ROWS = 4


@dataclass(frozen=True)
class Batch:
    """Tensors whose first dimension goes through the same images."""

    def take(self, images: Tensor) -> Self:
        """Those of some images: a mask bool [n], or positions int64 [m]."""
        return replace(self, **{field.name: getattr(self, field.name)[images] for field in fields(self)})


@dataclass(frozen=True)
class Attacked(Batch):
    """Images under attack: as they are, their labels, and the wrong class that each is to be taken for."""

    clean: Tensor
    labels: Tensor
    targets: Tensor


class Standing:
    """Which images of a batch an attack has not broken yet, and the best that it found of each.

    `found` is [n, c, h, w]: the last misclassified point of a broken image, the last point noted of one that stands.
    `left` are the positions of those that are worked on, int64 [m]. They leave when they are broken; those that stay
    leave when the ascent is over, for where a model answers at random a point just beyond the boundary is right as
    often as not.
    """

    def __init__(self, images: Tensor, *, stay: bool = False) -> None:
        self.found = images.detach().clone()
        self.left = torch.arange(len(images), device=images.device)
        self._stay, self._broken = stay, torch.zeros(len(images), dtype=torch.bool, device=images.device)

    def note(self, points: Tensor, wrong: Tensor) -> Tensor:
        """What the images worked on are now, [m, c, h, w], and which are misclassified there; who goes on, bool [m]."""
        better = wrong | ~self._broken[self.left]
        self.found[self.left[better]] = points[better]
        self._broken[self.left[wrong]] = True
        if self._stay:
            return torch.ones_like(wrong)
        self.left = self.left[~wrong]
        return ~wrong

    def end(self) -> None:
        """An ascent is over: who was broken in it leaves."""
        self.left = self.left[~self._broken[self.left]]


def common_start(images: Tensor, eps: Fraction, norm: Norm, generator: torch.Generator) -> Tensor:
    """A uniform point of the ball around each image, the same for all of them but for the bounds of [0, 1]."""
    return (images + random_point(images[:1], eps, norm, generator)).clamp_(0, 1)


def logits_of(model: Model, points: Tensor) -> Tensor:
    """The model's logits [n, classes], without a graph."""
    with torch.no_grad():
        found: Tensor = model(_padded(points))[: len(points)]
    return found


def gradient_of(model: Model, points: Tensor, images: Attacked, objective: Objective) -> tuple[Tensor, Tensor, Tensor]:
    """At each point the logits [n, classes], what is ascended [n], and its gradient [n, c, h, w]; all detached.

    Raises:
        AttackUnsupported: no gradient leads from the logits back to the images.
    """
    values = torch.empty(0)

    def ascended(logits: Tensor) -> Tensor:
        nonlocal values
        each = objective(logits[: len(points)], images.labels, images.targets)
        values = each.detach()
        return each.sum()

    logits, gradient = input_gradient(model, _padded(points), ascended)
    return logits[: len(points)], values, gradient[: len(points)]


def _padded(points: Tensor) -> Tensor:
    missing = _FEWEST_ROWS - len(points)
    return points if missing <= 0 else torch.cat([points, points[:1].expand(missing, -1, -1, -1)])

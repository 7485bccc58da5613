"""FGSM and PGD as callers have them: images, labels and budget are looked at first, which training has no time for."""

import math
from fractions import Fraction
from typing import get_args

import torch
from torch import Tensor

from gauntlet.attacks import gradient
from gauntlet.attacks.gradient import Budget, LogitLoss
from gauntlet.data.own_images import require_unit
from gauntlet.errors import BudgetInvalid
from gauntlet.models.precision import Model
from gauntlet.spec.eps import in_levels
from gauntlet.spec.evaluations.attacks import GradientLoss, Norm


def fgsm(
    model: Model, images: Tensor, labels: Tensor, eps: Budget, *, norm: Norm = "Linf", loss: LogitLoss | None = None
) -> Tensor:
    """Fast gradient (sign) method (Goodfellow et al. 2015, Eq. in §4): clip(x + eps · sign(∇ₓ loss), 0, 1).

    Under L2 the step is eps along the gradient itself. `loss` is ascended instead of cross-entropy on `labels` where
    it is given.

    Args:
        images: float32 [n, channels, height, width] in [0, 1]; what is returned is alike, each within eps of its own.
        labels: int64 [n].
        eps: of images in [0, 1].

    Raises:
        AttackUnsupported: no gradient leads from the model's output back to its images.
        BudgetInvalid: eps is negative, no number, or more than 1 under L∞; or there is no such norm.
        ImagesInvalid: images or labels are of another type, shape or range.
    """
    _require(images, labels, eps, norm)
    return gradient.fgsm(model, images, labels, eps, norm=norm, loss=loss)


def pgd(
    model: Model,
    images: Tensor,
    labels: Tensor,
    eps: Fraction,
    *,
    norm: Norm,
    steps: int,
    restarts: int,
    loss: GradientLoss,
    generator: torch.Generator,
    step: float | None = None,
    stops: bool = True,
) -> Tensor:
    """Projected gradient ascent from uniform random points of the ball (Madry et al. 2018), 2.5 · eps / steps a step.

    `step`, in budgets, is taken instead where it is given. An image whose points repeat bit for bit is not walked round
    its cycle until the steps are used up (`gauntlet.attacks.cycles`): what is returned is what that would come to. So
    each step must follow from the image's point alone; with `stops` false all of them are taken.

    Of each image the last misclassified point on the way is returned, or the last point if none was. An image that is
    broken is not attacked again by later restarts.

    Args:
        images: float32 [n, channels, height, width] in [0, 1]; what is returned is alike, each within eps of its own.
        labels: int64 [n].
        eps: of images in [0, 1].
        generator: on the images' device; the starting points are drawn from it.

    Raises:
        AttackUnsupported: no gradient leads from the model's output back to its images.
        BudgetInvalid: eps is negative, no number, or more than 1 under L∞; or there is no such norm.
        ImagesInvalid: images or labels are of another type, shape or range.
    """
    _require(images, labels, eps, norm)
    return gradient.pgd(
        model,
        images,
        labels,
        eps,
        norm=norm,
        steps=steps,
        restarts=restarts,
        loss=loss,
        generator=generator,
        step=step,
        stops=stops,
    )


def _require(images: Tensor, labels: Tensor, eps: Budget, norm: Norm) -> None:
    if norm not in get_args(Norm):
        raise BudgetInvalid(f"There is no norm {norm!r}: it is {' or '.join(get_args(Norm))}.")
    size = float(eps)
    if not (math.isfinite(size) and size >= 0):
        raise BudgetInvalid(f"eps must be a number of at least 0, not {size:g}.")
    if norm == "Linf" and size > 1:
        meant = in_levels(Fraction(size)) or "."
        raise BudgetInvalid(f"eps must lie in [0, 1] under Linf, the range of a pixel, not be {size:g}{meant}")
    require_unit(images, labels)

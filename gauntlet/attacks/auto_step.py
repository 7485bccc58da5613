"""Auto-PGD (Croce & Hein 2020, arXiv 2003.01690, Algorithm 1): gradient ascent whose step halves where it gets nowhere.

Written from the paper, of an image by itself: each has its own step, its own best point, and leaves once it is broken.
"""

from dataclasses import dataclass, replace
from fractions import Fraction

import torch
from torch import Tensor

from gauntlet.attacks.gradient import direction, project
from gauntlet.attacks.standing import Attacked, Batch, Objective, Standing, gradient_of, logits_of
from gauntlet.models.precision import Model
from gauntlet.spec.evaluations.attacks import Norm

# The paper's: how much of a step is kept beside the last move, and the share of steps that ought to rise.
_KEPT, _RISING = 0.75, 0.75
_WHOLE = 100


@dataclass(frozen=True)
class _Ascent(Batch):
    """Where each image's ascent is, and what it has seen: points [n, c, h, w], numbers [n], `step` [n, 1, 1, 1]."""

    at: Tensor
    before: Tensor
    gradient: Tensor
    value: Tensor
    best: Tensor
    best_at: Tensor
    best_gradient: Tensor
    step: Tensor
    rises: Tensor
    best_then: Tensor
    halved: Tensor


def ascend(
    model: Model,
    images: Attacked,
    start: Tensor,
    eps: Fraction,
    *,
    norm: Norm,
    steps: int,
    objective: Objective,
    standing: Standing,
) -> None:
    """Take so many steps from `start` [n, c, h, w], and note in `standing` what is found; its images are these."""
    logits, value, gradient = gradient_of(model, start, images, objective)
    ascent = _start(start, gradient, value, float(eps))
    looks = _looks(steps)
    last = 0
    for number in range(1, steps + 1):
        going = standing.note(ascent.at, logits.argmax(dim=1) != images.labels)
        if not bool(going.any()):
            return
        if not bool(going.all()):
            images, ascent = images.take(going), ascent.take(going)
        ascent = _move(ascent, images.clean, eps, norm, first=number == 1)
        if number == steps:
            break
        logits, value, gradient = gradient_of(model, ascent.at, images, objective)
        ascent = _seen(ascent, value, gradient)
        if number in looks:
            ascent, last = _halve(ascent, number - last), number
    standing.note(ascent.at, logits_of(model, ascent.at).argmax(dim=1) != images.labels)


def _looks(steps: int) -> set[int]:
    """After which steps it is asked whether to halve: 22, 41, 57, 70, … per cent of all, closer and closer (§3.1)."""
    shares = [0, 22]
    while shares[-1] < _WHOLE:
        shares.append(shares[-1] + max(shares[-1] - shares[-2] - 3, 6))
    return {-(-share * steps // _WHOLE) for share in shares[1:]}


def _start(start: Tensor, gradient: Tensor, value: Tensor, eps: float) -> _Ascent:
    step = torch.full_like(value, 2 * eps)[:, None, None, None]
    never = torch.zeros_like(value, dtype=torch.bool)
    return _Ascent(start, start, gradient, value, value, start, gradient, step, torch.zeros_like(value), value, never)


def _move(ascent: _Ascent, clean: Tensor, eps: Fraction, norm: Norm, *, first: bool) -> _Ascent:
    """A step along the gradient, and from the second on some of the last move with it (§3.1)."""

    def inside(point: Tensor) -> Tensor:
        return (clean + project(point - clean, eps, norm)).clamp_(0, 1)

    moved = inside(ascent.at + ascent.step * direction(ascent.gradient, norm))
    if not first:
        moved = inside(ascent.at + _KEPT * (moved - ascent.at) + (1 - _KEPT) * (ascent.at - ascent.before))
    return replace(ascent, at=moved, before=ascent.at)


def _seen(ascent: _Ascent, value: Tensor, gradient: Tensor) -> _Ascent:
    better = value > ascent.best
    where = better[:, None, None, None]
    return replace(
        ascent,
        gradient=gradient,
        value=value,
        rises=ascent.rises + (value > ascent.value),
        best=torch.where(better, value, ascent.best),
        best_at=torch.where(where, ascent.at, ascent.best_at),
        best_gradient=torch.where(where, gradient, ascent.best_gradient),
    )


def _halve(ascent: _Ascent, since: int) -> _Ascent:
    """Conditions 1 and 2: too few of the steps since the last look rose, or the step is the same and so is the best."""
    stuck = ~ascent.halved & (ascent.best == ascent.best_then)
    halved = (ascent.rises < _RISING * since) | stuck
    where = halved[:, None, None, None]
    return replace(
        ascent,
        step=torch.where(where, ascent.step / 2, ascent.step),
        at=torch.where(where, ascent.best_at, ascent.at),
        gradient=torch.where(where, ascent.best_gradient, ascent.gradient),
        rises=torch.zeros_like(ascent.rises),
        best_then=ascent.best,
        halved=halved,
    )

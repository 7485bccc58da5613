"""Attacks that try the likeliest wrong classes in turn, each on the images that still stand."""

from collections.abc import Iterator
from fractions import Fraction

import torch
from torch import Tensor

from gauntlet.attacks import auto_step
from gauntlet.attacks.gradient import direction, project
from gauntlet.attacks.standing import Attacked, Standing, common_start, gradient_of, logits_of
from gauntlet.models.precision import Model
from gauntlet.spec.evaluations.attacks import Norm, TargetLoss

# As in `gauntlet.attacks.gradient.pgd`.
_REACH = 2.5
# Classes whose logits differ in their scale and in a sign alone.
_TOO_FEW = 2
_TINY = 1e-12


def difference(logits: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
    """The target's logit minus the right one's, [n]: positive where the target has the better of it."""
    right, wanted = (logits.gather(1, classes[:, None]).squeeze(1) for classes in (labels, targets))
    return wanted - right


def scaled(logits: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
    """The difference divided by the logits' length about their mean, [n].

    A difference alone is largest, below zero, where all logits are nearly equal. A network whose units can all be at
    zero, as one trained with a reward may be, has such points within the budget, and they have no gradient: an ascent
    that comes there stays. Divided, no point is better for the logits' scale. Of two classes' logits it is constant, so
    there it is the difference.
    """
    apart = difference(logits, labels, targets)
    if logits.shape[1] <= _TOO_FEW:
        return apart
    length = _length(logits)
    # Squares of logits from 1e19 on are no fp32 numbers, and a difference of any by such a length is zero.
    beyond = ~length.isfinite()
    if bool(beyond.any()):
        least = logits.detach().abs().amax(dim=1, keepdim=True).clamp(min=1)
        near = logits / torch.where(beyond[:, None], least, 1)
        apart, length = difference(near, labels, targets), _length(near)
    return apart / length.clamp(min=_TINY)


def _length(logits: Tensor) -> Tensor:
    found: Tensor = torch.linalg.vector_norm(logits - logits.mean(dim=1, keepdim=True), dim=1)
    return found


def minimum_margin(
    model: Model,
    images: Tensor,
    labels: Tensor,
    eps: Fraction,
    *,
    norm: Norm,
    targets: int,
    steps: int,
    generator: torch.Generator,
    loss: TargetLoss = "difference",
    stay: bool = False,
) -> Tensor:
    """MM (Gao et al. 2022, arXiv 2206.07314): Auto-PGD on z_t − z_y for each wrong class t, likeliest first.

    The margins are of logits, neither rescaled nor put through a softmax unless `loss` says `scaled`, which is ours,
    and the classes are ranked once, by the logits of the images themselves (§3.3). At most so many are tried, each from
    a random point of its own.
    """
    objective = scaled if loss == "scaled" else difference
    standing = Standing(images, stay=stay)
    for batch in _in_turn(model, images, labels, targets, standing):
        start = common_start(batch.clean, eps, norm, generator)
        auto_step.ascend(model, batch, start, eps, norm=norm, steps=steps, objective=objective, standing=standing)
    return standing.found


def multitargeted(
    model: Model,
    images: Tensor,
    labels: Tensor,
    eps: Fraction,
    *,
    norm: Norm,
    targets: int,
    steps: int,
    generator: torch.Generator,
    stay: bool = False,
) -> Tensor:
    """MultiTargeted (Gowal et al. 2019, arXiv 1910.09338): PGD on z_t − z_y for each wrong class t, likeliest first.

    Here with the steps of this library's PGD, 2.5 · eps / steps each, from a random point of its own for each class,
    and for at most so many classes.
    """
    standing = Standing(images, stay=stay)
    for towards in _in_turn(model, images, labels, targets, standing):
        batch, at = towards, common_start(towards.clean, eps, norm, generator)
        for _ in range(steps):
            logits, _, gradient = gradient_of(model, at, batch, difference)
            going = standing.note(at, logits.argmax(dim=1) != batch.labels)
            if not bool(going.any()):
                break
            batch, at, gradient = batch.take(going), at[going], gradient[going]
            moved = at + _REACH * float(eps) / steps * direction(gradient, norm)
            at = (batch.clean + project(moved - batch.clean, eps, norm)).clamp_(0, 1)
        else:
            standing.note(at, logits_of(model, at).argmax(dim=1) != batch.labels)
    return standing.found


def _in_turn(model: Model, images: Tensor, labels: Tensor, targets: int, standing: Standing) -> Iterator[Attacked]:
    """For each of the targets the images that still stand; all at first, be they right or not."""
    clean = images.detach()
    logits = logits_of(model, clean)
    likeliest = logits.scatter(1, labels[:, None], -torch.inf).argsort(dim=1, descending=True, stable=True)
    for rank in range(min(targets, logits.shape[1] - 1)):
        if not len(standing.left):
            return
        yield Attacked(clean, labels, likeliest[:, rank]).take(standing.left)
        standing.end()

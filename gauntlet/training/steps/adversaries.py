"""What an adversary does to a batch before it is learnt from. Its random numbers come from torch's global generator."""

from collections.abc import Callable
from fractions import Fraction
from functools import partial
from typing import assert_never

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gauntlet.attacks.gradient import (
    Budget,
    LogitLoss,
    direction,
    fgsm,
    input_gradient,
    mode,
    project,
    radius,
    random_point,
    summed,
)
from gauntlet.models.precision import Model
from gauntlet.spec.runs.adversaries import (
    AdversarySpec,
    FgsmAdversary,
    FgsmRsAdversary,
    NFgsmAdversary,
    NoAdversary,
    PgdAdversary,
)

_UNIT = Fraction(1)


def attack(
    spec: AdversarySpec,
    model: nn.Module,
    forward: Model,
    images: Tensor,
    labels: Tensor,
    *,
    eps: Budget,
    objective: LogitLoss,
) -> Tensor:
    """The images as `spec` changes them; float32 [n, c, h, w] in [0, 1], without a graph.

    Args:
        model: whose mode the attack's passes are in, and are left as they were.
        forward: the same model, in the precision of training.
        eps: the budget now, which grows while it is warmed up.
        objective: from logits to the training objective, for the adversary that ascends it.
    """
    if isinstance(spec, NoAdversary):
        return images
    with mode(model, training=spec.mode == "train"):
        match spec:
            case FgsmAdversary():
                return fgsm(forward, images, labels, eps, norm=spec.norm, loss=_fgsm_loss(spec, labels, objective))
            case FgsmRsAdversary():
                start = (images + _scaled(eps, random_point(images, _UNIT, "Linf"))).clamp(0, 1)
                moved = start + _scaled(eps, spec.step * _ascent(forward, start, labels))
                return (images + project(moved - images, eps, "Linf")).clamp(0, 1)
            case NFgsmAdversary():
                start = (images + _scaled(eps, spec.noise * random_point(images, _UNIT, "Linf"))).clamp(0, 1)
                return (start + _scaled(eps, spec.step * _ascent(forward, start, labels))).clamp(0, 1)
            case PgdAdversary():
                return _pgd(spec, forward, images, labels, eps)
            case _:
                assert_never(spec)


def _fgsm_loss(spec: FgsmAdversary, labels: Tensor, objective: LogitLoss) -> LogitLoss:
    match spec.loss:
        case "true_label":
            return partial(summed, "cross_entropy", labels=labels)
        case "predicted_label":
            return lambda logits: summed("cross_entropy", logits, logits.detach().argmax(dim=1))
        case "objective":
            return objective
        case _:
            assert_never(spec.loss)


def _ascent(forward: Model, images: Tensor, labels: Tensor) -> Tensor:
    """The sign of cross-entropy's gradient."""
    _, gradient = input_gradient(forward, images, partial(summed, "cross_entropy", labels=labels))
    return direction(gradient, "Linf")


def _pgd(spec: PgdAdversary, forward: Model, images: Tensor, labels: Tensor, eps: Budget) -> Tensor:
    losses = _losses(spec, forward, images, labels)
    best = _pgd_once(spec, forward, images, eps, losses)
    for _ in range(spec.restarts - 1):
        found = _pgd_once(spec, forward, images, eps, losses)
        with torch.no_grad():
            better = losses(forward(found)) > losses(forward(best))
        best = torch.where(better[:, None, None, None], found, best)
    return best


def _pgd_once(
    spec: PgdAdversary, forward: Model, images: Tensor, eps: Budget, losses: Callable[[Tensor], Tensor]
) -> Tensor:
    at = (images + _scaled(eps, random_point(images, _UNIT, spec.norm))).clamp(0, 1)
    for _ in range(spec.steps):
        _, gradient = input_gradient(forward, at, lambda logits: losses(logits).sum())
        moved = at + _scaled(eps, spec.step * direction(gradient, spec.norm))
        at = (images + project(moved - images, eps, spec.norm)).clamp(0, 1)
    return at


def _losses(spec: PgdAdversary, forward: Model, images: Tensor, labels: Tensor) -> Callable[[Tensor], Tensor]:
    """From logits to the loss of each image, [n]."""
    match spec.loss:
        case "true_label":
            return partial(F.cross_entropy, target=labels, reduction="none")
        case "divergence":
            with torch.no_grad():
                natural = F.log_softmax(forward(images), dim=1)
            return lambda logits: divergence(natural, F.log_softmax(logits, dim=1))
        case _:
            assert_never(spec.loss)


def divergence(natural: Tensor, attacked: Tensor) -> Tensor:
    """KL(natural ‖ attacked) of each image, [n], from log-probabilities [n, classes]."""
    return (natural.exp() * (natural - attacked)).sum(dim=1)


def _scaled(eps: Budget, steps: Tensor) -> Tensor:
    scaled: Tensor = steps * radius(eps)
    return scaled

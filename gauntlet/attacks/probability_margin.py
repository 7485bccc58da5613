"""Probability Margin Attack, in a form that holds where a softmax underflows.

Its losses are differences of probabilities, whose gradients are exactly zero in fp32 on a network that is certain, as
networks trained with a reward are. A step needs their direction alone. So each loss is replaced by one of the logits
whose gradient is the same vector but for a positive factor, one that no underflow reaches.
"""

from fractions import Fraction
from math import cos, pi

import torch
from torch import Tensor

from gauntlet.attacks.gradient import direction, project
from gauntlet.attacks.standing import Attacked, Objective, Standing, common_start, gradient_of, logits_of
from gauntlet.models.precision import Model
from gauntlet.spec.evaluations.attacks import Norm


def right_probability(logits: Tensor, labels: Tensor, _targets: Tensor) -> Tensor:
    """Ascends as −p_y does: log Σ_{k≠y} exp z_k − z_y, [n], whose gradient is that of −p_y by p_y (1 − p_y)."""
    right, others = _apart(logits, labels)
    return others.logsumexp(dim=1) - right


def wrong_probability(logits: Tensor, labels: Tensor, _targets: Tensor) -> Tensor:
    """Ascends as the largest wrong class' probability p_t does: log p_t, [n], whose gradient is that of p_t by p_t."""
    _, others = _apart(logits, labels)
    return others.amax(dim=1) - logits.logsumexp(dim=1)


def probability_margin(logits: Tensor, labels: Tensor, _targets: Tensor) -> Tensor:
    """Ascends as p_t − p_y does, t the likeliest wrong class, [n]: its gradient by 1 − p_y.

    With q the softmax over the wrong classes alone, p_k = q_k (1 − p_y), and that gradient to the logits is
    −p_y (1 + q_t) for the right class, q_t (1 − p_t + p_y) for t and q_k (p_y − p_t) for any other: each found without
    a difference of nearly equal numbers, and at least one of them of the order of 1 by the number of classes.
    """
    right, others = _apart(logits.detach(), labels)
    among = others.softmax(dim=1)
    apart = right - others.logsumexp(dim=1)
    p_right, p_wrong = apart.sigmoid()[:, None], (-apart).sigmoid()[:, None]
    q_most, most = among.max(dim=1, keepdim=True)
    p_most = q_most * p_wrong
    slope = among * (p_right - p_most)
    slope.scatter_(1, most, q_most * (1 - p_most + p_right))
    slope.scatter_(1, labels[:, None], -p_right * (1 + q_most))
    return (logits * slope).sum(dim=1)


# What is ascended in the halves of each pass (arXiv 2411.15210): one term, then both.
_PASSES: tuple[tuple[Objective, Objective], ...] = (
    (right_probability, probability_margin),
    (wrong_probability, probability_margin),
)


def pma(
    model: Model,
    images: Tensor,
    labels: Tensor,
    eps: Fraction,
    *,
    norm: Norm,
    steps: int,
    generator: torch.Generator,
    stay: bool = False,
) -> Tensor:
    """PMA (Xie et al. 2024, arXiv 2411.15210): ascend p_t − p_y, t the likeliest wrong class, in two passes.

    Each pass takes `steps` steps from a random point: the first half on one term alone, −p_y and in the second pass
    p_t, the rest on both. A step's length falls along a cosine from 2 eps to 0, anew in each half.
    """
    clean, standing = images.detach(), Standing(images, stay=stay)
    for terms in _PASSES:
        if not len(standing.left):
            break
        batch = Attacked(clean, labels, labels).take(standing.left)
        at = common_start(batch.clean, eps, norm, generator)
        for step in range(steps):
            half, number, length = _place(step, steps)
            logits, _, gradient = gradient_of(model, at, batch, terms[half])
            going = standing.note(at, logits.argmax(dim=1) != batch.labels)
            if not bool(going.any()):
                break
            batch, at, gradient = batch.take(going), at[going], gradient[going]
            reach = float(eps) * (1 + cos(pi * number / length))
            moved = at + reach * direction(gradient, norm)
            at = (batch.clean + project(moved - batch.clean, eps, norm)).clamp_(0, 1)
        else:
            standing.note(at, logits_of(model, at).argmax(dim=1) != batch.labels)
        standing.end()
    return standing.found


def _place(step: int, steps: int) -> tuple[int, int, int]:
    """In which half of a pass a step is, which of that half's it is, and how many that has."""
    first = steps // 2
    return (0, step, first) if step < first else (1, step - first, steps - first)


def _apart(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The right class' logit [n], and all [n, classes] with −∞ in its place."""
    right = logits.gather(1, labels[:, None]).squeeze(1)
    return right, logits.scatter(1, labels[:, None], -torch.inf)

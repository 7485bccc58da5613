"""Attacks written here; the AutoAttack ensemble is its authors' own code, driven by `gauntlet.autoattack`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gauntlet.precision import Model

LogitLoss = Callable[[Tensor], Tensor]


def fgsm(model: Model, images: Tensor, labels: Tensor, eps: Fraction, *, loss: LogitLoss | None = None) -> Tensor:
    """Fast gradient sign method (Goodfellow et al. 2015, Eq. in §4): clip(x + eps · sign(∇ₓ loss), 0, 1).

    Args:
        images: float32 in [0, 1], [n, c, h, w].
        labels: int64 [n], ignored where `loss` is given.
        eps: L∞ budget.
        loss: a scalar function of the logits to ascend instead of cross-entropy on `labels`.

    Returns:
        float32 in [0, 1], [n, c, h, w], without a graph, each within eps of its image. The model's mode decides
        whether dropout is on; its parameters' gradients are not touched.
    """
    inputs = images.detach().requires_grad_()
    with torch.enable_grad():
        logits = model(inputs)
        objective = F.cross_entropy(logits, labels) if loss is None else loss(logits)
        (gradient,) = torch.autograd.grad(objective, inputs)
    return ascend(images, gradient, eps)


def ascend(images: Tensor, gradient: Tensor, eps: Fraction) -> Tensor:
    """Step by eps in the sign of a loss' gradient and stay in [0, 1]; all [n, c, h, w], without a graph."""
    return (images.detach() + float(eps) * gradient.sign()).clamp_(0, 1)


@contextmanager
def mode(model: nn.Module, *, training: bool) -> Iterator[None]:
    """Put the model in train or eval mode inside the block and back afterwards."""
    before = [(module, module.training) for module in model.modules()]
    model.train(training)
    try:
        yield
    finally:
        for module, was in before:
            module.training = was

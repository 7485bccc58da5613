"""GradAlign: the input gradient should point the same way everywhere in the adversary's ball."""

from fractions import Fraction

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from gauntlet.attacks.gradient import Budget, radius, random_point, summed
from gauntlet.models.precision import Model
from gauntlet.spec.evaluations.attacks import Norm

_UNIT = Fraction(1)
_TINY = 1e-12


def misalignment(forward: Model, images: Tensor, labels: Tensor, eps: Budget, norm: Norm) -> Tensor:
    """1 − the mean over images of cos(∇ₓ ℓ(x), ∇ₓ ℓ(x + η)), a scalar with its graph.

    Andriushchenko & Flammarion 2020, Eq. 4. ℓ is cross-entropy, η a uniform point of the ball of radius `eps` from
    torch's global generator; as in the authors' code x + η may leave [0, 1]. Where a gradient is zero the cosine is 0.
    """
    start = images.detach()
    moved = start + random_point(start, _UNIT, norm) * radius(eps)
    here, there = (_gradient(forward, at, labels).flatten(1) for at in (start, moved))
    lengths = _length(here) * _length(there)
    return 1 - ((here * there).sum(dim=1) / lengths).mean()


def _gradient(forward: Model, images: Tensor, labels: Tensor) -> Tensor:
    inputs = images.detach().requires_grad_()
    # The fast kernels of attention cannot be differentiated twice.
    with sdpa_kernel(SDPBackend.MATH):
        loss = summed("cross_entropy", forward(inputs), labels)
    return torch.autograd.grad(loss, inputs, create_graph=True)[0]


def _length(gradient: Tensor) -> Tensor:
    # The root's slope at zero is infinite.
    return (gradient.square().sum(dim=1) + _TINY**2).sqrt()

"""Adversarial weight perturbation: the same network with each layer's weights moved uphill. Its own are not touched."""

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor, nn
from torch.func import functional_call

from gauntlet.models.precision import Model

# In the authors' code: keeps a layer without a gradient where it is.
_TINY = 1e-20
_MATRIX = 2


def perturbed(model: nn.Module, gamma: float, loss: Callable[[Model], Tensor]) -> tuple[Model, tuple[Tensor, ...]]:
    """The model at w + γ ‖w‖ g / ‖g‖, layer by layer, with g = ∇w loss; and its parameters there, in the model's order.

    Wu et al. 2020, Eq. 8 and 10, in one step as there: only weights of two dimensions and more are moved. `loss`, a
    scalar of the model it is given, is taken in the model's mode, and leaves its normalisation's statistics alone.
    """
    own = dict(model.named_parameters())
    kept = {name: buffer.clone() for name, buffer in model.named_buffers()}
    layers = [name for name, weights in own.items() if weights.dim() >= _MATRIX]
    found = torch.autograd.grad(loss(_at(model, own | kept)), [own[name] for name in layers])
    uphill = dict(zip(layers, found, strict=True))
    there = {name: _moved(weights, gamma, uphill.get(name)) for name, weights in own.items()}
    return _at(model, there), tuple(there.values())


def _moved(weights: Tensor, gamma: float, uphill: Tensor | None) -> Tensor:
    start = weights.detach()
    if uphill is not None:
        start = start + gamma * start.norm() / (uphill.norm() + _TINY) * uphill
    return start.requires_grad_()


def _at(model: nn.Module, tensors: Mapping[str, Tensor]) -> Model:
    return partial(functional_call, model, dict(tensors))

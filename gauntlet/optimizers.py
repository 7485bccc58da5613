"""RMSprop as Keras' example uses it."""

import torch
from torch import nn

from gauntlet.spec import RmsProp


def build_optimizer(spec: RmsProp, model: nn.Module) -> torch.optim.Optimizer:
    """RMSprop without momentum: v ← ρv + (1 − ρ)g², p ← p − lr · g / (√v + ε), as in Keras."""
    return torch.optim.RMSprop(model.parameters(), lr=spec.lr, alpha=spec.rho, eps=spec.epsilon)


def learning_rate(spec: RmsProp, iteration: int) -> float:
    """Keras' time-based decay for the update after `iteration` earlier ones: lr / (1 + decay · iteration)."""
    return spec.lr / (1 + spec.decay * iteration)

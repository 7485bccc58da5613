"""RMSprop as Keras' example uses it."""

import torch
from torch import nn

from gauntlet.spec.kinds import RmsProp


def build_optimizer(spec: RmsProp, model: nn.Module) -> torch.optim.Optimizer:
    """RMSprop without momentum: v ← ρv + (1 − ρ)g², p ← p − lr · g / (√v + ε), as in Keras.

    Its state is there from the start, and its learning rate is a tensor on the model's device (see
    `set_learning_rate`), so that a step can be compiled or captured once and hold for every iteration.
    """
    device = next(model.parameters()).device
    optimizer = torch.optim.RMSprop(
        model.parameters(),
        lr=torch.tensor(spec.lr, device=device),
        alpha=spec.rho,
        eps=spec.epsilon,
        foreach=device.type == "cuda",
        capturable=device.type == "cuda",
    )
    # With zero gradients a step makes the state and changes nothing else but its count.
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for state in optimizer.state.values():
        state["step"].zero_()
    return optimizer


def set_learning_rate(optimizer: torch.optim.Optimizer, value: float) -> None:
    """Set the learning rate in place."""
    for group in optimizer.param_groups:
        group["lr"].fill_(value)


def learning_rate(spec: RmsProp, iteration: int) -> float:
    """Keras' time-based decay for the update after `iteration` earlier ones: lr / (1 + decay · iteration)."""
    return spec.lr / (1 + spec.decay * iteration)

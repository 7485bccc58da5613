"""Optimisers and their learning rate, iteration by iteration."""

import math
from typing import Any, assert_never

import torch
from torch import nn

from gauntlet.spec.runs.optimizers import (
    Adam,
    AdamW,
    Constant,
    Cosine,
    OneCycle,
    OptimizerSpec,
    RmsProp,
    ScheduleSpec,
    Sgd,
    Steps,
    TimeDecay,
)
from gauntlet.spec.runs.training import TrainingSpec


def build_optimizer(spec: OptimizerSpec, model: nn.Module) -> torch.optim.Optimizer:
    """The optimiser of all of the model's parameters, torch's own.

    RMSprop is that of Keras, without momentum: v ← ρv + (1 − ρ)g², p ← p − lr · g / (√v + ε).

    Its state is there from the start, and its learning rate is a tensor on the model's device (see
    `set_learning_rate`), so that a step can be compiled or captured once and hold for every iteration.
    """
    # At a rate of 0 and with zero gradients a step makes the state and leaves the weights alone; then the state is as
    # before any step.
    optimizer = _optimizer(spec, model)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for state in optimizer.state.values():
        for tensor in state.values():
            tensor.zero_()
    set_learning_rate(optimizer, spec.lr)
    return optimizer


def _optimizer(spec: OptimizerSpec, model: nn.Module) -> torch.optim.Optimizer:
    parameters = model.parameters()
    device = next(model.parameters()).device
    shared: dict[str, Any] = {"lr": torch.tensor(0.0, device=device), "weight_decay": spec.weight_decay}
    match spec:
        case RmsProp():
            on_gpu = device.type == "cuda"
            return torch.optim.RMSprop(
                parameters, alpha=spec.rho, eps=spec.epsilon, foreach=on_gpu, capturable=on_gpu, **shared
            )
        # Fused: only so a rate that is a tensor can be captured, and compiled it gives the same bits.
        case Sgd():
            return torch.optim.SGD(parameters, momentum=spec.momentum, nesterov=spec.nesterov, fused=True, **shared)
        case Adam():
            betas = spec.beta1, spec.beta2
            return torch.optim.Adam(parameters, betas=betas, eps=spec.epsilon, fused=True, **shared)
        case AdamW():
            betas = spec.beta1, spec.beta2
            return torch.optim.AdamW(parameters, betas=betas, eps=spec.epsilon, fused=True, **shared)
        case _:
            assert_never(spec)


def set_learning_rate(optimizer: torch.optim.Optimizer, value: float) -> None:
    """Set the learning rate in place."""
    for group in optimizer.param_groups:
        group["lr"].fill_(value)


def set_momentum(optimizer: torch.optim.Optimizer, share: float) -> None:
    """Have the next update go by this share of SGD's momentum: v ← share · μ v + g, as long as it is not Nesterov's.

    What is remembered is shortened, since a step that is compiled or captured has the momentum in it as a number.
    """
    if share != 1:
        for state in optimizer.state.values():
            state["momentum_buffer"].mul_(share)


def learning_rate(spec: TrainingSpec, iteration: float, per_epoch: int) -> float:
    """Of the update after `iteration` earlier ones, or within one, where an epoch has `per_epoch` updates.

    What the schedule says, times Keras' time-based decay where the optimiser has one.
    """
    decay = spec.optimizer.decay if isinstance(spec.optimizer, RmsProp) else 0.0
    return spec.optimizer.lr * _share(spec.schedule, iteration, per_epoch, spec.epochs) / (1 + decay * iteration)


def momentum_share(spec: TrainingSpec, iteration: int, per_epoch: int) -> float:
    """What the optimiser's momentum is multiplied by at that update: 1 where the schedule leaves it as it is."""
    optimizer, schedule = spec.optimizer, spec.schedule
    if not (isinstance(optimizer, Sgd) and isinstance(schedule, OneCycle) and schedule.lowest_momentum is not None):
        return 1.0
    return 1 - (1 - schedule.lowest_momentum / optimizer.momentum) * _share(schedule, iteration, per_epoch, spec.epochs)


def _share(schedule: ScheduleSpec, iteration: float, per_epoch: int, epochs: int) -> float:
    """Of the whole rate, between 0 and 1."""
    if isinstance(schedule, OneCycle):
        # A cycle of one update is at its peak: counted as CyclicLR does it would be at 0, and nothing would be learned.
        done = iteration / (per_epoch * epochs) if per_epoch * epochs > 1 else schedule.peak
        return done / schedule.peak if done < schedule.peak else (1 - done) / (1 - schedule.peak)
    warmup = schedule.warmup_epochs * per_epoch
    if iteration + 1 < warmup:
        return (iteration + 1) / warmup
    after = max(iteration - warmup, 0)
    done = after / max(per_epoch * epochs - warmup, 1)
    match schedule:
        case Constant():
            return 1.0
        case TimeDecay():
            return 1 / (1 + schedule.decay * after)
        case Steps():
            return float(schedule.factor ** sum(done >= milestone for milestone in schedule.milestones))
        case Cosine():
            return schedule.final + (1 - schedule.final) * (1 + math.cos(math.pi * min(done, 1))) / 2
        case _:
            assert_never(schedule)

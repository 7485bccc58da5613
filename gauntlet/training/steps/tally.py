"""What one epoch of training adds up to, kept on the device until it is read."""

import math

import torch
from torch import Tensor

from gauntlet.errors import TrainingDiverged
from gauntlet.training.steps.objectives import Loss

# A policy gradient that runs away stays finite (−1.6e11 was seen), so finiteness alone is no guard.
LARGEST_LOSS = 1e3
_IMAGES, _LOSS, _RIGHT, _REWARD, _LEAST_LOG_PROB, _WORST_LOSS = range(6)


def empty_tally(device: torch.device) -> Tensor:
    """The tally of no batch at all: float64 [6]."""
    tally = torch.zeros(6, dtype=torch.float64)
    tally[_LEAST_LOG_PROB] = math.inf
    return tally.to(device)


def add_batch(tally: Tensor, loss: Loss, logits: Tensor, labels: Tensor) -> None:
    """Add one batch in place, without waiting for the device; logits [n, classes], labels int64 [n]."""
    value = loss.value.detach().double()
    rewards = torch.zeros_like(value) if loss.rewards is None else loss.rewards.sum()
    sums = torch.stack(
        [
            torch.full_like(value, len(labels)),
            value * len(labels),
            (logits.detach().argmax(dim=1) == labels).sum(),
            rewards,
        ]
    )
    tally[:_LEAST_LOG_PROB] += sums
    tally[_LEAST_LOG_PROB] = torch.minimum(tally[_LEAST_LOG_PROB], loss.log_probs.min())
    # torch.maximum propagates NaN, so one bad batch is seen at the next look.
    tally[_WORST_LOSS] = torch.maximum(tally[_WORST_LOSS], value.abs())


def check(tally: Tensor, epoch: int, batch: int, *, largest: float) -> None:
    """Look at the losses so far, which waits for the device.

    Raises:
        TrainingDiverged: one was not finite or beyond ±`largest`.
    """
    worst = tally[_WORST_LOSS].item()
    if not worst <= largest:
        raise TrainingDiverged(epoch, batch, worst)


def means(tally: Tensor, *, rewarded: bool) -> dict[str, float]:
    """The epoch's metrics; `rewarded` where the objective knows a reward."""
    images, loss, right, reward, least_log_prob, _ = tally.tolist()
    found = {"loss": loss / images, "train_adversarial_accuracy": right / images, "min_log_prob": least_log_prob}
    return found | ({"mean_reward": reward / images} if rewarded else {})

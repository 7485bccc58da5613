"""Training objectives: functions of logits and labels that return the loss to minimise.

Log-probabilities are a log-softmax of fp32 logits, and no gradient flows through the action or the reward.
"""

import math
from dataclasses import dataclass
from typing import assert_never

import torch
import torch.nn.functional as F
from torch import Tensor

from gauntlet.spec.objectives import CrossEntropy, ExpectedReward, LossSpec, PolicyGradient, Reward


@dataclass(frozen=True)
class Loss:
    """One batch's loss.

    `value` is a scalar with its graph. `rewards` float32 [n] is what the environment paid for the actions taken
    (None for an objective without a reward), `log_probs` float32 [n] the log-probability of the class the loss looks
    at; both are detached.
    """

    value: Tensor
    rewards: Tensor | None
    log_probs: Tensor


def objective_loss(
    spec: LossSpec,
    logits: Tensor,
    labels: Tensor,
    *,
    noise: Tensor,
    action_logits: Tensor | None = None,
) -> Loss:
    """The loss that `spec` names, averaged over the batch.

    Args:
        logits: float32 [n, classes], with their graph.
        labels: int64 [n].
        noise: from `action_noise`; where random actions come from.
        action_logits: float32 [n, classes] of another pass that the action is chosen from; `logits` if None.
    """
    match spec:
        case CrossEntropy():
            return _cross_entropy(logits, labels)
        case PolicyGradient():
            return _policy_gradient(spec, logits, labels, noise, action_logits)
        case ExpectedReward():
            return _expected_reward(spec, logits, labels)
        case _:
            assert_never(spec)


def _cross_entropy(logits: Tensor, labels: Tensor) -> Loss:
    losses = F.cross_entropy(logits, labels, reduction="none")
    return Loss(losses.mean(), None, -losses.detach())


def _policy_gradient(
    spec: PolicyGradient, logits: Tensor, labels: Tensor, noise: Tensor, action_logits: Tensor | None
) -> Loss:
    """L = −(1/B) Σ log P(a|s) · R, arXiv 2012.04353, Eq. 1 (REINFORCE, Williams 1992).

    Departures, each off by default: a batch-mean baseline, an entropy bonus, a floor under log P.
    """
    log_policy = F.log_softmax(logits, dim=1)
    actions = choose_actions(spec, logits if action_logits is None else action_logits, noise)
    rewards = rewards_for(spec.reward, actions, labels)
    advantages = rewards - rewards.mean() if spec.baseline == "batch_mean" else rewards
    log_probs = log_policy.gather(1, actions[:, None]).squeeze(1)
    if spec.log_prob_floor is not None:
        log_probs = log_probs.clamp(min=spec.log_prob_floor)
    loss = -(log_probs * advantages).mean()
    if spec.entropy_bonus:
        entropy = -(log_policy.exp() * log_policy).sum(dim=1)
        loss = loss - spec.entropy_bonus * entropy.mean()
    return Loss(loss, rewards, log_probs.detach())


def _expected_reward(spec: ExpectedReward, logits: Tensor, labels: Tensor) -> Loss:
    """−E[R] in closed form; with rewards of ±1 it is 1 − 2 p_y."""
    log_probs = F.log_softmax(logits, dim=1).gather(1, labels[:, None]).squeeze(1)
    right = log_probs.exp()
    expected = right * spec.reward.correct + (1 - right) * spec.reward.wrong
    return Loss(-expected.mean(), expected.detach(), log_probs.detach())


def action_noise(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Exp(1) noise float32 [*shape, classes + 1] for `shape` (…, classes), on the generator's device.

    All that `choose_actions` leaves to chance: one number per class, and one that decides whether to explore.
    """
    *leading, classes = shape
    return torch.empty(*leading, classes + 1, device=generator.device).exponential_(generator=generator)


def choose_actions(spec: PolicyGradient, logits: Tensor, noise: Tensor) -> Tensor:
    """The predicted classes, int64 [n], as `spec.action` says; without a graph.

    `logits` are [n, classes], `noise` is `action_noise` of that shape.
    """
    logits, log_noise = logits.detach(), noise[:, :-1].log()
    match spec.action:
        case "sample":
            # The greatest of logit − log E with E ~ Exp(1) is a draw from the softmax (the Gumbel-max trick). Unlike
            # torch.multinomial it does not raise on NaN, so that a diverged model is reported as such.
            return (logits - log_noise).argmax(dim=1)
        case "argmax":
            return logits.argmax(dim=1)
        case "epsilon_greedy":
            explore = noise[:, -1] < -math.log1p(-spec.epsilon) if spec.epsilon < 1 else noise[:, -1] >= 0
            return torch.where(explore, log_noise.argmin(dim=1), logits.argmax(dim=1))
        case _:
            assert_never(spec.action)


def rewards_for(reward: Reward, actions: Tensor, labels: Tensor) -> Tensor:
    """float32 [n]: `reward.correct` where action and label (int64 [n]) agree, else `reward.wrong`."""
    right = actions == labels
    return torch.where(right, reward.correct, reward.wrong).to(torch.float32)

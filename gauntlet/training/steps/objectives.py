"""Training objectives: functions of logits and labels that return the loss to minimise.

Log-probabilities are a log-softmax of fp32 logits, and no gradient flows through the action or the reward.
"""

import math
from dataclasses import dataclass
from typing import assert_never

import torch
import torch.nn.functional as F
from torch import Tensor

from gauntlet.spec.runs.objectives import CrossEntropy, ExpectedReward, LossSpec, Mart, PolicyGradient, Reward, Trades
from gauntlet.training.steps.adversaries import divergence
from gauntlet.training.steps.reward_shapes import log_odds, shaped


@dataclass(frozen=True)
class Loss:
    """One batch's loss.

    `value` is a scalar with its graph. `rewards` float32 [n] is what the environment paid for the actions taken
    (None for an objective without a reward), `log_probs` float32 [n] the log-probability of the class the loss looks
    at, or [group, n] of each action of a group; both are detached.
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
    natural_logits: Tensor | None = None,
) -> Loss:
    """The loss that `spec` names, averaged over the batch.

    Args:
        logits: float32 [n, classes], with their graph.
        labels: int64 [n].
        noise: from `action_noise`, float32 [n, classes + 1] or [group, n, classes + 1]; where random actions come from.
        action_logits: float32 [n, classes] of another pass that the action is chosen from; `logits` if None.
        natural_logits: float32 [n, classes] of the images before they were attacked, with their graph, for objectives
            that look at both.
    """
    match spec:
        case CrossEntropy():
            return _cross_entropy(spec, logits, labels)
        case Trades() | Mart():
            if natural_logits is None:
                raise TypeError(f"The objective {spec.kind} looks at natural images too.")
            paired = _trades if isinstance(spec, Trades) else _mart
            return paired(spec.beta, logits, natural_logits, labels)
        case PolicyGradient():
            return _policy_gradient(spec, logits, labels, noise, action_logits)
        case ExpectedReward():
            return _expected_reward(spec, logits, labels)
        case _:
            assert_never(spec)


def _cross_entropy(spec: CrossEntropy, logits: Tensor, labels: Tensor) -> Loss:
    if not spec.label_smoothing:
        losses = F.cross_entropy(logits, labels, reduction="none")
        return Loss(losses.mean(), None, -losses.detach())
    smoothed = F.cross_entropy(logits, labels, label_smoothing=spec.label_smoothing)
    return Loss(smoothed, None, _log_prob(F.log_softmax(logits, dim=1), labels).detach())


def _trades(beta: float, logits: Tensor, natural_logits: Tensor, labels: Tensor) -> Loss:
    """CE(f(x), y) + β · KL(f(x) ‖ f(x′)), each a mean over the batch (Zhang et al. 2019, Eq. 5)."""
    natural, attacked = F.log_softmax(natural_logits, dim=1), F.log_softmax(logits, dim=1)
    right = _log_prob(natural, labels)
    return Loss(-right.mean() + beta * divergence(natural, attacked).mean(), None, right.detach())


# In the authors' code: keeps the logarithm finite where a wrong class has all of the probability.
_MART_OFFSET = 1e-4


def _mart(beta: float, logits: Tensor, natural_logits: Tensor, labels: Tensor) -> Loss:
    """BCE(f(x′), y) + λ · KL(f(x) ‖ f(x′)) · (1 − p_y(x)), a mean over the batch (Wang et al. 2020, Eq. 11).

    BCE is −log p_y(x′) − log(1 − max_{k ≠ y} p_k(x′)).
    """
    natural, attacked = F.log_softmax(natural_logits, dim=1), F.log_softmax(logits, dim=1)
    right = _log_prob(attacked, labels)
    likeliest_wrong = attacked.scatter(1, labels[:, None], -torch.inf).amax(dim=1).exp()
    boosted = -right - torch.log(1 + _MART_OFFSET - likeliest_wrong)
    weighted = divergence(natural, attacked) * (1 - _log_prob(natural, labels).exp())
    return Loss((boosted + beta * weighted).mean(), None, right.detach())


def _log_prob(log_probs: Tensor, labels: Tensor) -> Tensor:
    return log_probs.gather(1, labels[:, None]).squeeze(1)


def _policy_gradient(
    spec: PolicyGradient, logits: Tensor, labels: Tensor, noise: Tensor, action_logits: Tensor | None
) -> Loss:
    """L = −(1/B) Σ log P(a|s) · R, arXiv 2012.04353, Eq. 1 (REINFORCE, Williams 1992).

    Departures, each off by default: several actions for each image, a baseline, rewards divided by their deviation
    (GRPO, arXiv 2402.03300), MaxRL's estimator (arXiv 2602.02710, whose gradient is the mean score of the right
    actions), an entropy bonus, a floor under log P.
    """
    log_policy = F.log_softmax(logits, dim=1)
    actions = choose_actions(spec, logits if action_logits is None else action_logits, noise)
    rewards = rewards_for(spec.reward, actions, labels)
    # One row for each action of the group.
    log_probs = log_policy.expand(*actions.shape, -1).gather(-1, actions[..., None]).squeeze(-1)
    if spec.log_prob_floor is not None:
        log_probs = log_probs.clamp(min=spec.log_prob_floor)
    loss = -(log_probs * _advantages(spec, rewards, actions == labels)).mean()
    if spec.entropy_bonus:
        entropy = -(log_policy.exp() * log_policy).sum(dim=1)
        loss = loss - spec.entropy_bonus * entropy.mean()
    paid = rewards.mean(dim=0) if rewards.dim() > 1 else rewards
    return Loss(loss, paid, log_probs.detach())


def _advantages(spec: PolicyGradient, rewards: Tensor, right: Tensor) -> Tensor:
    """What each action's log-probability is raised by, [n] or [group, n]."""
    if spec.estimator == "max_rl":
        share = len(right) / right.sum(dim=0).clamp(min=1) if right.dim() > 1 else 1.0
        return right * share * (spec.reward.correct - spec.reward.wrong)
    if spec.scale_rewards == "none":
        return _less_baseline(spec, rewards)
    # What is paid cancels out.
    paid = right.to(torch.float32)
    deviation = paid.std(dim=0 if spec.scale_rewards == "group" else None, correction=0)
    scaled = _less_baseline(spec, paid) / deviation.clamp(min=_LEAST_DEVIATION)
    better = (spec.reward.correct > spec.reward.wrong) - (spec.reward.correct < spec.reward.wrong)
    # Where all are equal the mean of ones may miss 1 by a last bit: on a GPU that of 41 or 47 does.
    return torch.where(deviation > _LEAST_DEVIATION, scaled, 0) * better


# Above what rounding makes of equal rewards (1e-7), below the least of others: about 1/√n for one among n actions,
# which is 1e-4 of a hundred million.
_LEAST_DEVIATION = 1e-6


def _less_baseline(spec: PolicyGradient, rewards: Tensor) -> Tensor:
    match spec.baseline:
        case "none":
            return rewards
        case "batch_mean":
            return rewards - rewards.mean()
        case "group_mean":
            return rewards - rewards.mean(dim=0)
        case "leave_one_out":
            return rewards - (rewards.sum(dim=0) - rewards) / (len(rewards) - 1)
        case _:
            assert_never(spec.baseline)


def _expected_reward(spec: ExpectedReward, logits: Tensor, labels: Tensor) -> Loss:
    odds = log_odds(logits, labels)
    span = spec.reward.correct - spec.reward.wrong
    right = torch.sigmoid(odds.detach())
    value = -(spec.reward.wrong + span * shaped(spec, odds)).mean()
    return Loss(value, spec.reward.wrong + span * right, F.logsigmoid(odds.detach()))


def action_noise(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Exp(1) noise float32 [*shape, classes + 1] for `shape` (…, classes), on the generator's device.

    All that `choose_actions` leaves to chance: one number per class, and one that decides whether to explore.
    """
    *leading, classes = shape
    return torch.empty(*leading, classes + 1, device=generator.device).exponential_(generator=generator)


def choose_actions(spec: PolicyGradient, logits: Tensor, noise: Tensor) -> Tensor:
    """The predicted classes, int64 [n] or [group, n], as `spec.action` says; without a graph.

    `logits` are [n, classes], `noise` is `action_noise` of that shape, with the group before it if there is one.
    """
    logits, log_noise = logits.detach(), noise[..., :-1].log()
    match spec.action:
        case "sample":
            # The greatest of logit − log E with E ~ Exp(1) is a draw from the softmax (the Gumbel-max trick). Unlike
            # torch.multinomial it does not raise on NaN, so that a diverged model is reported as such.
            return (logits - log_noise).argmax(dim=-1)
        case "argmax":
            return logits.argmax(dim=1).expand(noise.shape[:-1])
        case "epsilon_greedy":
            explore = noise[..., -1] < -math.log1p(-spec.epsilon) if spec.epsilon < 1 else noise[..., -1] >= 0
            return torch.where(explore, log_noise.argmin(dim=-1), logits.argmax(dim=1))
        case _:
            assert_never(spec.action)


def rewards_for(reward: Reward, actions: Tensor, labels: Tensor) -> Tensor:
    """float32 as `actions`, int64 [n] or [group, n]: `correct` where they are the labels, int64 [n], else `wrong`."""
    right = actions == labels
    return torch.where(right, reward.correct, reward.wrong).to(torch.float32)

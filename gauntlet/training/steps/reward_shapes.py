"""Functions of the probability p of the right class that a reward ascends, exactly, each with its slope.

Written in the right class's log-odds o = log p − log(1 − p), where neither p nor 1 − p is rounded to zero: a saturated
network's gradients are as exact as any.
"""

from typing import assert_never

import torch
import torch.nn.functional as F
from torch import Tensor

from gauntlet.spec.runs.objectives import ExpectedReward


def log_odds(logits: Tensor, labels: Tensor) -> Tensor:
    """Log p_y − log(1 − p_y), [n], from logits [n, classes] of two classes or more and labels int64 [n]."""
    right = logits.gather(1, labels[:, None]).squeeze(1)
    return right - logits.scatter(1, labels[:, None], -torch.inf).logsumexp(dim=1)


def shaped(spec: ExpectedReward, odds: Tensor) -> Tensor:
    """f(p) of each image, [n], with its graph, from log-odds [n].

    p: REINFORCE. arcsin √p: GRPO, and log p: cross-entropy (arXiv 2510.13651). −Σ_{k ≤ T} (1 − p)ᵏ / k: MaxRL (arXiv
    2602.02710), whose derivative in p is (1 − (1 − p)ᵀ) / p. First derivatives only.
    """
    with torch.no_grad():
        value, slope = _value_and_slope(spec, odds)
    # The derivative in the odds is f′(p) p (1 − p); written down, since what autograd makes of `value` rounds it away.
    return value + slope * (odds - odds.detach())


def _value_and_slope(spec: ExpectedReward, odds: Tensor) -> tuple[Tensor, Tensor]:
    log_right, log_wrong = F.logsigmoid(odds), F.logsigmoid(-odds)
    match spec.shape:
        case "p":
            return log_right.exp(), (log_right + log_wrong).exp()
        case "arcsin_sqrt":
            # The angle whose tangent is √(p / (1 − p)).
            angle = torch.atan2((log_right / 2).exp(), (log_wrong / 2).exp())
            return angle, ((log_right + log_wrong) / 2).exp() / 2
        case "log":
            return log_right, log_wrong.exp()
        case "max_rl":
            k = torch.arange(1, spec.terms + 1, device=odds.device, dtype=odds.dtype)
            series = -((log_wrong[:, None] * k).exp() / k).sum(dim=1)
            return series, log_wrong.exp() * -torch.expm1(spec.terms * log_wrong)
        case _:
            assert_never(spec.shape)

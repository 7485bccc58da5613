import math
from collections.abc import Callable
from typing import Literal

import pytest
import torch
from torch import Tensor

from gauntlet import seeding
from gauntlet.spec.runs.objectives import CrossEntropy, ExpectedReward, PolicyGradient, Reward
from gauntlet.training.steps.objectives import action_noise, objective_loss
from gauntlet.training.steps.reward_shapes import log_odds, shaped

Shape = Literal["p", "arcsin_sqrt", "log", "max_rl"]

# f and its derivative, as the papers write them.
FORMULAS: dict[Shape, tuple[Callable[[float], float], Callable[[float], float]]] = {
    "p": (lambda p: p, lambda _: 1.0),
    "arcsin_sqrt": (lambda p: math.asin(math.sqrt(p)), lambda p: 1 / (2 * math.sqrt(p * (1 - p)))),
    "log": (math.log, lambda p: 1 / p),
    "max_rl": (
        lambda p: -sum((1 - p) ** k / k for k in range(1, 8)),
        lambda p: sum((1 - p) ** (k - 1) for k in range(1, 8)),
    ),
}
ZERO_ONE = Reward(correct=1, wrong=0)
# Probabilities of the right class: 1/2 and 1/8.
LIKELY, LABELS = torch.tensor([[2.0, 1.0, 1.0], [1.0, 1.0, 6.0]]).log(), torch.tensor([0, 1])


def exact(shape: Shape, terms: int = 7) -> ExpectedReward:
    return ExpectedReward(shape=shape, terms=terms, reward=ZERO_ONE)


def slope(spec: ExpectedReward, odds: float) -> float:
    leaf = torch.tensor([odds], dtype=torch.float64, requires_grad=True)
    (found,) = torch.autograd.grad(shaped(spec, leaf).sum(), leaf)
    return float(found)


@pytest.mark.parametrize("shape", FORMULAS)
@pytest.mark.parametrize("p", [0.001, 0.3, 0.5, 0.9, 0.999])
def test_a_shape_is_its_formula(shape: Shape, p: float) -> None:
    """In value, and in slope, which in the log-odds is f′(p) p (1 − p)."""
    value, derivative = FORMULAS[shape]
    odds = math.log(p / (1 - p))
    assert shaped(exact(shape), torch.tensor([odds], dtype=torch.float64)).item() == pytest.approx(value(p))
    assert slope(exact(shape), odds) == pytest.approx(derivative(p) * p * (1 - p))


@pytest.mark.parametrize(
    ("shape", "odds", "wanted"),
    [
        # e⁻⁴⁰ is beyond what 1 − p can hold, also in fp64.
        ("p", 40.0, math.exp(-40)),
        ("p", -40.0, math.exp(-40)),
        ("arcsin_sqrt", 40.0, math.exp(-20) / 2),
        ("arcsin_sqrt", -40.0, math.exp(-20) / 2),
        ("log", 40.0, math.exp(-40)),
        ("log", -40.0, 1.0),
        ("max_rl", 40.0, math.exp(-40)),
        ("max_rl", -40.0, 7 * math.exp(-40)),
    ],
)
def test_a_saturated_network_still_has_its_gradient(shape: Shape, odds: float, wanted: float) -> None:
    """Where p rounds to 0 or 1 the slope is as exact as elsewhere, in fp32 too."""
    assert slope(exact(shape), odds) == pytest.approx(wanted)
    leaf = torch.tensor([odds], requires_grad=True)
    (found,) = torch.autograd.grad(shaped(exact(shape), leaf).sum(), leaf)
    assert float(found) == pytest.approx(wanted, rel=1e-5)


def gradient_of(spec: ExpectedReward | CrossEntropy | PolicyGradient, logits: Tensor, labels: Tensor) -> Tensor:
    leaf = logits.clone().requires_grad_()
    noise = torch.ones(*logits.shape[:-1], logits.shape[-1] + 1)
    (found,) = torch.autograd.grad(objective_loss(spec, leaf, labels, noise=noise).value, leaf)
    return found


def random_logits() -> tuple[Tensor, Tensor]:
    generator = seeding.generator("cpu", 0, "test")
    return 3 * torch.randn(64, 10, generator=generator), torch.randint(10, (64,), generator=generator)


def test_log_is_cross_entropy() -> None:
    """In value and gradient, with rewards of 1 and 0."""
    logits, labels = random_logits()
    assert torch.allclose(
        gradient_of(exact("log"), logits, labels), gradient_of(CrossEntropy(), logits, labels), atol=1e-8
    )


def test_the_dial_leads_from_the_reward_to_cross_entropy() -> None:
    """One term of MaxRL has the gradient of p, very many that of cross-entropy, and those between lie between."""
    logits, labels = random_logits()
    ends = gradient_of(exact("p"), logits, labels), gradient_of(CrossEntropy(), logits, labels)
    assert torch.allclose(gradient_of(exact("max_rl", 1), logits, labels), ends[0], atol=1e-8)
    likely = log_odds(logits, labels) > -5
    many = gradient_of(exact("max_rl", 4_096), logits, labels)
    assert torch.allclose(many[likely], ends[1][likely], atol=1e-7)
    lengths = [float(gradient_of(exact("max_rl", terms), logits, labels).norm()) for terms in (1, 2, 4, 16, 128, 4_096)]
    assert lengths == sorted(lengths)


def drawn(sampled: PolicyGradient) -> tuple[Tensor, Tensor]:
    """The mean of a thousand gradients, and its standard error."""
    noise = action_noise((1_000, sampled.group, *LIKELY.shape), seeding.generator("cpu", 1, "test"))
    draws = []
    for each in noise:
        leaf = LIKELY.clone().requires_grad_()
        draws.append(torch.autograd.grad(objective_loss(sampled, leaf, LABELS, noise=each).value, leaf)[0])
    found = torch.stack(draws)
    return found.mean(dim=0), found.std(dim=0) / len(draws) ** 0.5


@pytest.mark.parametrize(
    ("sampled", "shape"),
    [
        (PolicyGradient(group=1), exact("p")),
        (PolicyGradient(group=4, reward=ZERO_ONE, baseline="leave_one_out"), exact("p")),
        (PolicyGradient(group=4, reward=ZERO_ONE, estimator="max_rl"), exact("max_rl", 4)),
        (PolicyGradient(group=1, reward=ZERO_ONE, estimator="max_rl"), exact("max_rl", 1)),
    ],
    ids=["reinforce", "leave-one-out", "max_rl", "max_rl-of-one"],
)
def test_the_mean_of_many_draws_is_the_exact_gradient(sampled: PolicyGradient, shape: ExpectedReward) -> None:
    """Within four standard errors in every coordinate; leaving one out and MaxRL's share are unbiased."""
    scale = sampled.reward.correct - sampled.reward.wrong
    wanted = scale * gradient_of(shape, LIKELY, LABELS)
    mean, error = drawn(sampled)
    assert ((mean - wanted).abs() <= 4 * error + 1e-6).all()
    assert (error < 0.04).all()


@pytest.mark.parametrize("reward", [Reward(), Reward(correct=7, wrong=3), Reward(correct=0, wrong=1)])
def test_grpo_has_the_gradient_of_its_groups_deviation(reward: Reward) -> None:
    """Of G actions of which q are right: E √(q (1 − q)) where p has p (1 − p), whatever is paid; its sign counts."""
    grpo = PolicyGradient(group=4, baseline="group_mean", scale_rewards="group", reward=reward)
    deviations = [
        sum(math.comb(4, k) * p**k * (1 - p) ** (4 - k) * math.sqrt(k / 4 * (1 - k / 4)) for k in range(5))
        for p in (0.5, 0.125)
    ]
    variances = torch.tensor([[0.5 * 0.5], [0.125 * 0.875]])
    wanted = gradient_of(exact("p"), LIKELY, LABELS) / variances * torch.tensor(deviations)[:, None]
    mean, error = drawn(grpo)
    assert ((mean - (wanted if reward.correct > reward.wrong else -wanted)).abs() <= 4 * error + 1e-6).all()
    assert (error < 0.02).all()


def test_grpo_in_large_groups_ascends_the_angle() -> None:
    """As arXiv 2510.13651 has it: arcsin √p, at rewards of 1 and −1 as `expected_reward` scales it."""
    grpo = PolicyGradient(group=256, baseline="group_mean", scale_rewards="group")
    wanted = gradient_of(ExpectedReward(shape="arcsin_sqrt"), LIKELY, LABELS)
    mean, error = drawn(grpo)
    assert ((mean - wanted).abs() <= 4 * error + 0.01 * wanted.abs()).all()
    assert (error < 0.002).all()

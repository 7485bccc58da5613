import math
from typing import Any

import pytest
import torch
from torch import Tensor

from gauntlet import seeding
from gauntlet.spec.runs.objectives import CrossEntropy, ExpectedReward, LossSpec, PolicyGradient, Reward
from gauntlet.training.steps.objectives import Loss, action_noise, choose_actions, objective_loss, rewards_for

# Two images, three classes; probabilities (1/2, 1/4, 1/4) and (1/8, 1/8, 3/4).
LOGITS = torch.tensor([[2.0, 1.0, 1.0], [1.0, 1.0, 6.0]]).log()
LABELS = torch.tensor([0, 1])
PROBABILITIES = torch.tensor([[0.5, 0.25, 0.25], [0.125, 0.125, 0.75]])
ARGMAX = PolicyGradient(action="argmax")


def stream(seed: int = 0) -> torch.Generator:
    return seeding.generator("cpu", seed, "test")


def noise_for(logits: Tensor, seed: int = 0) -> Tensor:
    return action_noise(logits.shape, stream(seed))


def loss_of(spec: LossSpec, logits: Tensor = LOGITS, labels: Tensor = LABELS, seed: int = 0) -> Loss:
    group = (spec.group,) if isinstance(spec, PolicyGradient) and spec.group > 1 else ()
    return objective_loss(spec, logits, labels, noise=action_noise((*group, *logits.shape), stream(seed)))


def gradient_of(spec: LossSpec, logits: Tensor, labels: Tensor, seed: int = 0) -> Tensor:
    leaf = logits.clone().requires_grad_()
    loss_of(spec, leaf, labels, seed).value.backward()
    assert leaf.grad is not None
    return leaf.grad


def test_cross_entropy_by_hand() -> None:
    """Cross-entropy is the mean of −log P(y), with no reward."""
    loss = loss_of(CrossEntropy())
    assert loss.value.item() == pytest.approx((math.log(2) + math.log(8)) / 2)
    assert loss.rewards is None
    assert torch.allclose(loss.log_probs, torch.tensor([math.log(1 / 2), math.log(1 / 8)]))


def test_label_smoothing_by_hand() -> None:
    """A share of the label is spread over all classes, its own among them (Szegedy et al. 2016, §7)."""
    found = loss_of(CrossEntropy(label_smoothing=0.3))
    wanted = [0.8, 0.1, 0.1], [0.1, 0.8, 0.1]
    by_hand = -sum(
        share * math.log(p)
        for shares, probabilities in zip(wanted, PROBABILITIES.tolist(), strict=True)
        for share, p in zip(shares, probabilities, strict=True)
    )
    assert found.value.item() == pytest.approx(by_hand / 2)
    # What is told of it is the label's own.
    assert found.log_probs.tolist() == pytest.approx([math.log(0.5), math.log(0.125)])


def test_policy_gradient_is_equation_1() -> None:
    """With the actions fixed (argmax: right, wrong) the loss is −(log ½ · 1 + log ¾ · −1) / 2."""
    loss = loss_of(ARGMAX)
    assert loss.value.item() == pytest.approx(-(math.log(1 / 2) - math.log(3 / 4)) / 2)
    assert loss.rewards is not None
    assert loss.rewards.tolist() == [1, -1]
    assert torch.allclose(loss.log_probs, torch.tensor([math.log(1 / 2), math.log(3 / 4)]))


def test_the_policy_gradient_by_hand() -> None:
    """Its gradient is −R/B · (onehot(a) − P): a wrong prediction is penalised through the class predicted."""
    actions, rewards = torch.tensor([0, 2]), torch.tensor([[1.0], [-1.0]])
    expected = -rewards / 2 * (torch.eye(3)[actions] - PROBABILITIES)
    assert torch.allclose(gradient_of(ARGMAX, LOGITS, LABELS), expected, atol=1e-6)


def test_expected_reward_by_hand() -> None:
    """The loss is 1 − 2 p_y with rewards of ±1, and −(p_y · correct + (1 − p_y) · wrong) with any."""
    plain = loss_of(ExpectedReward())
    assert plain.value.item() == pytest.approx(((1 - 2 / 2) + (1 - 2 / 8)) / 2)
    assert plain.rewards is not None
    assert torch.allclose(plain.rewards, torch.tensor([0.0, -0.75]))
    skewed = loss_of(ExpectedReward(reward=Reward(correct=3, wrong=-2)))
    assert skewed.value.item() == pytest.approx(-((0.5 * 3 - 0.5 * 2) + (0.125 * 3 - 0.875 * 2)) / 2)


def test_the_batch_mean_baseline_by_hand() -> None:
    """The batch's mean reward is taken from each, so equal rewards teach nothing."""
    centred = PolicyGradient(action="argmax", baseline="batch_mean", reward=Reward(correct=3, wrong=-1))
    loss = loss_of(centred)
    assert loss.value.item() == pytest.approx(-(2 * math.log(1 / 2) - 2 * math.log(3 / 4)) / 2)
    assert loss.rewards is not None
    assert loss.rewards.tolist() == [3, -1]
    assert not gradient_of(centred, LOGITS, torch.tensor([0, 2])).any()


def test_a_scaled_reward_by_hand() -> None:
    """One of four is right: 3/4 and −1/4 over √(3/16), whatever is paid for it."""
    logits, labels = LOGITS[[0, 1, 0, 1]], torch.tensor([0, 0, 1, 0])
    log_probs = torch.log_softmax(logits, dim=1).amax(dim=1)
    wanted = -(log_probs * torch.tensor([3.0, -1.0, -1.0, -1.0]) / math.sqrt(3)).mean().item()
    for reward in (Reward(), Reward(correct=50, wrong=49.9)):
        scaled = PolicyGradient(action="argmax", baseline="batch_mean", scale_rewards="batch", reward=reward)
        loss = loss_of(scaled, logits, labels)
        assert loss.value.item() == pytest.approx(wanted)
        assert loss.rewards is not None
        assert loss.rewards.tolist() == pytest.approx([reward.correct, *[reward.wrong] * 3])


@pytest.mark.parametrize(
    ("scale", "baseline"),
    [("batch", "batch_mean"), *((scale, of) for scale in ("batch", "group") for of in ("group_mean", "leave_one_out"))],
)
@pytest.mark.parametrize("right", [True, False])
def test_equal_rewards_teach_nothing_however_scaled(scale: str, baseline: str, *, right: bool) -> None:
    """Exactly, of a reward that no float holds too, and in a batch of one image."""
    spec = PolicyGradient.model_validate(
        {"group": 3, "baseline": baseline, "scale_rewards": scale, "reward": {"correct": 0.1, "wrong": 0.7}}
    )
    certain = torch.tensor([[60.0, 0.0, 0.0]])
    for images in (1, 7):
        labels = torch.full((images,), 0 if right else 2)
        assert not gradient_of(spec, certain.expand(images, 3).contiguous(), labels).any()


@pytest.mark.parametrize(("scale", "baseline"), [("batch", "batch_mean"), ("group", "group_mean")])
def test_equal_rewards_teach_nothing_where_their_mean_is_rounded(
    scale: str, baseline: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A GPU's mean of 41 ones misses 1 by a last bit, which divided by next to nothing would be a lesson."""
    exact = Tensor.mean
    monkeypatch.setattr(Tensor, "mean", lambda *of, **how: exact(*of, **how) * (1 - 2**-24))
    spec = PolicyGradient.model_validate({"group": 3, "baseline": baseline, "scale_rewards": scale})
    certain = torch.tensor([[60.0, 0.0, 0.0], [60.0, 0.0, 0.0]])
    assert not gradient_of(spec, certain, torch.tensor([0, 0])).any()
    undecided = PolicyGradient(action="argmax", baseline="batch_mean", scale_rewards="batch")
    assert gradient_of(undecided, LOGITS, LABELS).any()


def test_the_entropy_bonus_by_hand() -> None:
    """The bonus times the mean entropy of the policy is taken from the loss."""
    entropy = -(PROBABILITIES * PROBABILITIES.log()).sum(dim=1).mean().item()
    with_bonus = loss_of(PolicyGradient(action="argmax", entropy_bonus=0.5)).value.item()
    assert with_bonus == pytest.approx(loss_of(ARGMAX).value.item() - 0.5 * entropy)
    uniform = torch.zeros(1, 3)
    bonus = gradient_of(PolicyGradient(action="argmax", entropy_bonus=5), uniform, torch.tensor([0]))
    assert torch.allclose(bonus, gradient_of(ARGMAX, uniform, torch.tensor([0])), atol=1e-6)


def test_below_the_floor_there_is_no_gradient() -> None:
    """An action less likely than the floor counts as the floor and is pushed no further."""
    floored = PolicyGradient(action="argmax", log_prob_floor=-0.5)
    loss = loss_of(floored)
    assert loss.log_probs.tolist() == pytest.approx([-0.5, math.log(3 / 4)])
    assert loss.value.item() == pytest.approx(-(-0.5 - math.log(3 / 4)) / 2)
    gradient = gradient_of(floored, LOGITS, LABELS)
    assert not gradient[0].any()
    assert torch.allclose(gradient[1], gradient_of(ARGMAX, LOGITS, LABELS)[1])


VARIANTS: dict[str, LossSpec] = {
    "cross_entropy": CrossEntropy(),
    "expected_reward": ExpectedReward(reward=Reward(correct=2, wrong=-0.5)),
    "sample": PolicyGradient(),
    "argmax": ARGMAX,
    "epsilon_greedy": PolicyGradient(action="epsilon_greedy", epsilon=0.5, log_prob_floor=-16.118),
    "batch_mean": PolicyGradient(baseline="batch_mean", reward=Reward(correct=1, wrong=-1 / 9)),
    "scaled": PolicyGradient(baseline="batch_mean", scale_rewards="batch"),
    "grpo": PolicyGradient(group=4, baseline="group_mean", scale_rewards="group"),
    "entropy_bonus": PolicyGradient(entropy_bonus=0.3),
    "floor": PolicyGradient(action="epsilon_greedy", epsilon=1, log_prob_floor=-1.5),
}


@pytest.mark.parametrize("spec", VARIANTS.values(), ids=VARIANTS)
def test_runs_that_train_together_have_their_own_gradients(spec: LossSpec) -> None:
    """Mapped over runs, as a fused program maps it, each has what it has alone: batches' means are its own."""
    logits = torch.randn(2, 8, 4, generator=stream(1), dtype=torch.float64)
    labels = torch.randint(4, (2, 8), generator=stream(2))
    group = (spec.group,) if isinstance(spec, PolicyGradient) and spec.group > 1 else ()
    noise = torch.stack([action_noise((*group, 8, 4), stream(seed)) for seed in (3, 4)])
    together = torch.func.vmap(lambda *run: objective_loss(spec, *run[:2], noise=run[2]).value)(logits, labels, noise)
    alone = [loss_of(spec, *run, seed=seed).value for *run, seed in zip(logits, labels, (3, 4), strict=True)]
    assert torch.allclose(together, torch.stack(alone), rtol=1e-12)


@pytest.mark.parametrize("spec", VARIANTS.values(), ids=VARIANTS)
def test_gradients_agree_with_finite_differences(spec: LossSpec) -> None:
    """Every objective's gradient is the slope of its value, the actions held fixed."""
    logits = torch.randn(8, 4, generator=stream(1), dtype=torch.float64).mul(2).requires_grad_()
    labels = torch.randint(4, (8,), generator=stream(2))
    assert torch.autograd.gradcheck(lambda x: loss_of(spec, x, labels, seed=3).value, (logits,))


@pytest.mark.parametrize("spec", VARIANTS.values(), ids=VARIANTS)
def test_huge_logits_stay_finite(spec: LossSpec) -> None:
    """Logits of ±1,000 give finite losses and gradients, as a log-softmax does and the log of a softmax does not."""
    logits = torch.tensor([[1000.0, -1000.0, 0.0, 0.0], [-1000.0, 1000.0, 0.0, 0.0]])
    labels = torch.tensor([1, 1])
    assert loss_of(spec, logits, labels).value.isfinite()
    assert gradient_of(spec, logits, labels).isfinite().all()


def test_sampled_actions_follow_the_softmax() -> None:
    """Sampled actions occur as often as the policy says."""
    count = 100_000
    logits = LOGITS[1].expand(count, 3)
    actions = choose_actions(PolicyGradient(), logits, noise_for(logits))
    frequency = torch.bincount(actions, minlength=3) / count
    assert torch.allclose(frequency, PROBABILITIES[1], atol=0.005)


def test_actions_come_from_the_noise_alone() -> None:
    """One generator's noise gives one choice, another's another; the global state is not used."""
    logits = torch.zeros(50, 3)
    before = torch.get_rng_state()
    first, again, other = (choose_actions(PolicyGradient(), logits, noise_for(logits, seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)


def test_argmax_takes_the_likeliest_class() -> None:
    """Under argmax nothing is random."""
    assert choose_actions(ARGMAX, LOGITS, noise_for(LOGITS)).tolist() == [0, 2]


@pytest.mark.parametrize("epsilon", [0.0, 0.1, 0.6, 1.0])
def test_epsilon_greedy_explores_its_share(epsilon: float) -> None:
    """A share ε of the actions is uniform over all classes, the likeliest included; the rest are the likeliest."""
    count = 100_000
    spec = PolicyGradient(action="epsilon_greedy", epsilon=epsilon, log_prob_floor=-16)
    logits = LOGITS[1].expand(count, 3)
    frequency = torch.bincount(choose_actions(spec, logits, noise_for(logits)), minlength=3) / count
    wanted = torch.tensor([epsilon / 3, epsilon / 3, 1 - 2 * epsilon / 3])
    assert torch.allclose(frequency, wanted, atol=0.0 if epsilon == 0 else 0.006)


def test_actions_may_come_from_another_pass() -> None:
    """With `action_logits` the action is chosen there, its log-probability is from `logits`; no gradient flows."""
    elsewhere = torch.tensor([[0.0, 9.0, 0.0], [0.0, 9.0, 0.0]], requires_grad=True)
    logits = LOGITS.clone().requires_grad_()
    loss = objective_loss(ARGMAX, logits, LABELS, noise=noise_for(LOGITS), action_logits=elsewhere)
    assert loss.log_probs.exp().tolist() == pytest.approx([0.25, 0.125])
    loss.value.backward()
    assert elsewhere.grad is None
    assert logits.grad is not None


@pytest.mark.parametrize("spec", VARIANTS.values(), ids=VARIANTS)
def test_only_the_value_has_a_graph(spec: LossSpec) -> None:
    """Rewards and log-probabilities are detached; the value is a scalar to differentiate."""
    loss = loss_of(spec, LOGITS.clone().requires_grad_())
    assert loss.value.shape == ()
    assert loss.value.requires_grad
    assert not loss.log_probs.requires_grad
    assert loss.log_probs.shape[-1:] == LABELS.shape
    if loss.rewards is not None:
        assert not loss.rewards.requires_grad
        assert loss.rewards.dtype == torch.float32


def test_rewards_are_paid_as_the_spec_says() -> None:
    """A right prediction earns `correct`, a wrong one `wrong`."""
    paid = rewards_for(Reward(correct=2.5, wrong=-0.25), torch.tensor([1, 2, 0]), torch.tensor([1, 0, 0]))
    assert paid.tolist() == [2.5, -0.25, 2.5]
    assert paid.dtype == torch.float32


@pytest.mark.parametrize("reward", [{}, {"correct": 2, "wrong": -0.5}])
@pytest.mark.parametrize("baseline", ["none", "batch_mean"])
def test_expected_reward_is_the_sampled_gradients_mean(reward: dict[str, Any], baseline: str) -> None:
    """The average of many sampled policy gradients is the gradient of the expected reward."""
    draws = 400_000
    paid = Reward.model_validate(reward)
    sampled = PolicyGradient.model_validate({"reward": reward, "baseline": baseline})
    for label in (0, 2):
        logits = LOGITS[:1].clone().requires_grad_()
        loss_of(sampled, logits.expand(draws, 3), torch.full((draws,), label)).value.backward()
        exact = gradient_of(ExpectedReward(reward=paid), LOGITS[:1], torch.tensor([label]))
        assert exact.abs().max() > 0.2
        assert logits.grad is not None
        assert torch.allclose(logits.grad, exact, atol=0.008)

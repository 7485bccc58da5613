"""PPO, A2C and DQN: what one rollout does to the weights, by hand, and what many of them teach."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from torch import Tensor, nn

from gauntlet.attacks.gradient import fgsm
from gauntlet.data.datasets import Dataset, ImageSet, to_unit
from gauntlet.errors import TrainingDiverged
from gauntlet.events import EpochFinished
from gauntlet.models import architectures
from gauntlet.models.architectures import build_model
from gauntlet.spec.experiment import RunSpec
from gauntlet.spec.runs.objectives import AgentSpec
from gauntlet.training.agents import AgentEpochs
from gauntlet.training.steps import tally
from gauntlet.training.updates import run
from tests.gauntlet.examples import bright_or_dark, events, finished, normalising, run_spec, same_tensors, some
from tests.smallest import SMALLEST

A2C = {"kind": "a2c"}
PPO = {"kind": "ppo", "n_steps": 2, "n_epochs": 2}
DQN = {"kind": "dqn", "n_steps": 2, "gradient_steps": 2}
AGENTS = {"a2c": A2C, "ppo": PPO, "dqn": DQN}
each_agent = pytest.mark.parametrize("objective", AGENTS.values(), ids=AGENTS)


# Which network an agent has makes no difference to the agent; this one reads patches of 4 × 4 pixels.
READER = {"kind": "vit", "patch": 4, "width": 16, "depth": 1, "heads": 1}


def spec_of(objective: dict[str, Any], architecture: dict[str, Any] = SMALLEST, **training: object) -> RunSpec:
    return run_spec(objective=objective, architecture=architecture, adversary={"eps": "16/255"}, training=training)


def small_network(classes: int = 3) -> nn.Sequential:
    """One without dropout, so that a step can be computed by hand."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(144, 8), nn.ReLU(), nn.Linear(8, classes))


def three_shades(count: int) -> Dataset:
    labels = torch.arange(count) % 3
    images = ImageSet((60 + 60 * labels)[:, None, None, None].repeat(1, 1, 12, 12).to(torch.uint8), labels)
    return Dataset(images, images, ("dark", "grey", "bright"))


def epochs_of(spec: RunSpec, data: Dataset, model: nn.Module) -> AgentEpochs:
    assert isinstance(spec.objective, AgentSpec)
    return AgentEpochs(spec, spec.objective, data, model)


def _played(agent: AgentEpochs) -> RolloutBuffer:
    """What an agent that keeps no memory of earlier rollouts has just played."""
    assert isinstance(agent._agent, OnPolicyAlgorithm)
    return agent._agent.rollout_buffer


@each_agent
def test_an_agent_learns(objective: dict[str, Any]) -> None:
    """On images that are bright or dark each agent learns which is which, and its reward rises."""
    data = Dataset(bright_or_dark(256), bright_or_dark(60), ("dark", "bright"))
    found = [
        event.metrics
        for event in events(spec_of(objective, READER, epochs=6, batch_size=16), data)
        if isinstance(event, EpochFinished)
    ]
    # Four epochs are enough on some processors, whose rounding is that of another seed.
    assert any(
        each["test_accuracy"] > 0.95 and each["mean_reward"] > max(0.6, found[0]["mean_reward"]) for each in found[3:]
    )


def test_the_values_of_dqn_are_expected_rewards() -> None:
    """The right class is worth about the reward for being right, the wrong one about that for being wrong."""
    data = Dataset(bright_or_dark(256), bright_or_dark(100), ("dark", "bright"))
    objective = DQN | {"reward": {"correct": 2.0, "wrong": -0.5}, "epsilon": 0.5}
    spec = spec_of(objective, READER, epochs=8, batch_size=16)
    model = build_model(spec.architecture, data.image_shape, 2).eval()
    model.load_state_dict(finished(spec, data).model)
    values = model(to_unit(data.test.images)).detach()
    right = values.gather(1, data.test.labels[:, None]).mean()
    wrong = values.gather(1, 1 - data.test.labels[:, None]).mean()
    assert right.item() == pytest.approx(2.0, abs=0.5)
    assert wrong.item() == pytest.approx(-0.5, abs=0.5)


@pytest.mark.parametrize(
    "objective",
    [A2C, {"kind": "ppo", "n_steps": 1, "n_epochs": 1, "normalize_advantage": False}],
    ids=["a2c", "ppo"],
)
def test_the_first_update_is_the_policy_gradient(objective: dict[str, Any]) -> None:
    """With a critic of zero one update follows −(1/B) Σ log P(a|s) R on images attacked on the network as it was."""
    data, model, before = three_shades(12), small_network(), small_network()
    spec = run_spec(
        objective=objective | {"value_weight": 0.0, "entropy_bonus": 0.0, "max_grad_norm": 1000.0},
        adversary={"eps": "16/255"},
        training={"batch_size": 12, "optimizer": {"lr": 1e-3, "decay": 0.0}},
    )
    agent = epochs_of(spec, data, model)
    assert list(run(agent.updates(1, 0))) == [1]

    played = _played(agent)
    seen, actions = torch.from_numpy(played.observations), torch.from_numpy(played.actions).long()
    rewards = torch.from_numpy(played.rewards.ravel())
    log_probs = F.log_softmax(before(seen), dim=1).gather(1, actions).squeeze(1)
    gradients = torch.autograd.grad(-(log_probs * rewards).mean(), tuple(before.parameters()))
    for after, start, gradient in zip(model.parameters(), before.parameters(), gradients, strict=True):
        # RMSprop's first step: the mean square is (1 − 0.9) of the gradient's own.
        wanted = start - 1e-3 * gradient / ((0.1 * gradient**2).sqrt() + 1e-7)
        assert torch.allclose(after, wanted, atol=1e-5)
        assert not torch.equal(after, start)


def test_what_an_agent_sees_is_attacked_on_the_network_as_it_is() -> None:
    """Each image of a rollout is an FGSM example of the network before the update; each is shown once, and counted."""
    data, model, before = three_shades(12), small_network(), small_network()
    agent = epochs_of(spec_of(A2C, batch_size=12), data, model)
    assert list(run(agent.updates(1, 0))) == [1]
    assert isinstance(data.train, ImageSet)
    attacked = fgsm(before, to_unit(data.train.images), data.train.labels, Fraction(16, 255))
    seen = torch.from_numpy(_played(agent).observations)
    assert torch.equal(_sorted(seen), _sorted(attacked))
    right = (before(attacked).argmax(dim=1) == data.train.labels).sum().item()
    found = tally.means(agent.totals, rewarded=True)
    assert found["train_adversarial_accuracy"] == pytest.approx(right / 12)
    assert found["mean_reward"] == pytest.approx(_played(agent).rewards.mean())


def _sorted(images: Tensor) -> Tensor:
    """The images in the order of their brightness; all of a shade are attacked alike."""
    return images[images.flatten(1).sum(dim=1).argsort()]


def test_the_learning_rate_decays_by_updates() -> None:
    """Keras' decay counts updates: each rollout's are n_epochs passes of n_steps minibatches."""
    agent = epochs_of(
        spec_of(PPO, batch_size=6, optimizer={"lr": 0.1, "decay": 0.5}), three_shades(12), small_network()
    )
    assert (agent.batches, agent.images_after(0)) == (1, 12)
    assert agent.learning_rate(1, 0) == pytest.approx(0.1)
    assert agent.learning_rate(2, 0) == pytest.approx(0.1 / (1 + 0.5 * 4))


def test_no_rollout_is_played_for_nothing() -> None:
    """By one_cycle, which begins at 0, the first has its middle's rate, and the others that of their first update."""
    cycle = {"schedule": {"kind": "one_cycle", "peak": 0.5}, "optimizer": {"lr": 0.1, "decay": 0.0}}
    four = {"kind": "ppo", "n_steps": 2, "n_epochs": 2}
    one = {"kind": "ppo", "n_steps": 1, "n_epochs": 1}
    # Two rollouts of four updates, and four of one.
    expected = ((four, [0.05, 0.1]), (one, [0.025, 0.05, 0.1, 0.05]), (A2C | {"n_steps": 1}, [0.025, 0.05, 0.1, 0.05]))
    for objective, rates in expected:
        agent = epochs_of(spec_of(objective, batch_size=3, epochs=1, **cycle), three_shades(12), small_network())
        assert [agent.learning_rate(1, rollout) for rollout in range(agent.batches)] == pytest.approx(rates)
    for objective in (A2C, PPO):
        model, before = small_network(), small_network()
        only = epochs_of(spec_of(objective, batch_size=12, epochs=1, **cycle), three_shades(12), model)
        assert only.learning_rate(1, 0) > 0
        list(run(only.updates(1, 0)))
        assert all(not torch.equal(*pair) for pair in zip(model.parameters(), before.parameters(), strict=True))


@each_agent
def test_large_rewards_are_no_divergence(objective: dict[str, Any]) -> None:
    """A critic's error is as the square of the reward; with the largest that a spec may ask for a run goes on."""
    spec = spec_of(objective | {"reward": {"correct": 100.0, "wrong": -100.0}}, batch_size=12)
    list(run(epochs_of(spec, three_shades(12), small_network()).updates(1, 0)))


def test_an_agent_computes_in_bf16() -> None:
    """In bf16 other weights come out than in fp32, and they differ by little."""
    data = three_shades(12)
    after = {}
    for precision in ("fp32", "bf16"):
        model = small_network()
        list(run(epochs_of(spec_of(A2C, batch_size=12, precision=precision), data, model).updates(1, 0)))
        after[precision] = torch.cat([parameter.flatten() for parameter in model.parameters()])
    assert not torch.equal(after["fp32"], after["bf16"])
    assert torch.allclose(after["fp32"], after["bf16"], atol=0.02)


@each_agent
def test_chance_depends_on_seed_epoch_and_rollout(few: Dataset, objective: dict[str, Any]) -> None:
    """The same run twice is the same bit by bit, whatever was drawn outside it; another seed's differs."""
    first = finished(spec_of(objective, epochs=1), few)
    torch.rand(7)
    second = finished(spec_of(objective, epochs=1), few)
    other = finished(spec_of(objective, epochs=1).model_copy(update={"seed": 1}), few)
    assert same_tensors(first.model, second.model)
    assert not same_tensors(first.model, other.model)


@each_agent
def test_the_caller_s_random_state_is_left_alone(few: Dataset, objective: dict[str, Any]) -> None:
    """What torch and NumPy draw after training is what they would have drawn without."""
    drawn = []
    for train in (lambda: None, lambda: finished(spec_of(objective, epochs=1), few)):
        torch.manual_seed(3)
        np.random.seed(3)  # noqa: NPY002  # the state that Stable-Baselines3 draws from
        train()
        drawn.append((torch.rand(1).item(), np.random.rand()))  # noqa: NPY002  # the same state
    assert drawn[0] == drawn[1]


def test_the_loss_is_the_mean_over_the_updates() -> None:
    """Where nothing moves and the critic says zero, PPO's is ½R² − R, over all images of the rollout."""
    objective = {"kind": "ppo", "n_steps": 4, "n_epochs": 2, "normalize_advantage": False}
    agent = epochs_of(spec_of(objective, batch_size=3, optimizer={"lr": 1e-12}), three_shades(12), small_network())
    list(run(agent.updates(1, 0)))
    found = tally.means(agent.totals, rewarded=True)
    assert found["loss"] == pytest.approx(0.5 - found["mean_reward"], abs=1e-5)


@each_agent
def test_a_rollout_may_show_more_images_than_there_are(objective: dict[str, Any]) -> None:
    """An epoch is then one rollout, which passes over the images more than once."""
    agent = epochs_of(spec_of(objective | {"n_steps": 16}, batch_size=2), three_shades(12), small_network())
    assert (agent.batches, agent.images_after(0)) == (1, 32)
    assert list(run(agent.updates(1, 0))) == [1]
    assert agent.totals[0] == 32


@each_agent
@pytest.mark.parametrize("update_mode", ["eval", "train"])
def test_the_mode_of_updates_decides_over_batch_normalisation(
    few: Dataset, objective: dict[str, Any], update_mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its statistics follow the images where updates are made in train mode, and stay where they are in eval mode."""
    monkeypatch.setattr(architectures, "_built", normalising)
    spec = spec_of(objective | {"n_steps": 1, "update_mode": update_mode}, epochs=1, batch_size=8)
    state = finished(spec, some(few, train=8, test=4))
    assert bool(state.model["1.running_mean"].any()) == (update_mode == "train")


@each_agent
def test_a_runaway_is_reported(objective: dict[str, Any]) -> None:
    """An output that grows beyond all bounds ends the run as diverged, wherever it shows first."""
    deep = [nn.Linear(144, 144, bias=False) for _ in range(16)]
    for layer in deep:
        nn.init.eye_(layer.weight)
    model = nn.Sequential(nn.Flatten(), *deep, nn.Linear(144, 3))
    agent = epochs_of(spec_of(objective, batch_size=6, optimizer={"lr": 10.0}), three_shades(24), model)
    with pytest.raises(TrainingDiverged):
        list(run(agent.updates(1, 0)))

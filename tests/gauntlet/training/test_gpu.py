"""What only a GPU can show: the captured step, and that nothing waits for the device within an epoch."""

import math
import warnings
from collections.abc import Iterable
from typing import Any

import pytest
import torch
from torch import Tensor

from gauntlet import seeding
from gauntlet.data.datasets import Dataset
from gauntlet.events import CheckpointReady, EpochFinished, TrainingEvent
from gauntlet.models.architectures import build_model, initialise
from gauntlet.models.checkpoints import TrainingState
from gauntlet.models.precision import fp32_products
from gauntlet.training.epochs import Epochs
from gauntlet.training.fused.together import Ended, train_together
from gauntlet.training.loop import train
from gauntlet.training.steps.compilation import accelerate
from gauntlet.training.steps.objectives import action_noise
from gauntlet.training.steps.optimizers import build_optimizer
from gauntlet.training.steps.step import build_step, rows
from gauntlet.training.steps.tally import empty_tally
from gauntlet.training.updates import run
from tests.gauntlet.examples import GPU, needs_gpu, network, run_spec, some
from tests.gauntlet.training.steps.test_step import CASES

pytestmark = needs_gpu


def metrics(data: Dataset, **changes: Any) -> list[dict[str, float]]:
    found = train(run_spec(**changes), data, device=GPU)
    return [event.metrics for event in found if isinstance(event, EpochFinished)]


def gradients(case: dict[str, Any], data: Dataset, *, captured: bool, dropout: int = 0) -> list[Tensor]:
    """All gradients of each of three steps from the weights of seed 3, as one vector a step."""
    spec = run_spec(**case)
    model = network(seed=3).to(GPU).train()
    optimizer, totals = build_optimizer(spec.training.optimizer, model), empty_tally(GPU)
    step = build_step(spec, model, optimizer, totals)
    noise = action_noise((2, 1, rows(spec, 32), 10), seeding.generator(GPU, 0, "test"))
    batches = [(images.to(GPU), labels.to(GPU), noise) for images, labels in thirds(data)]
    found = []
    with fp32_products(spec.training.precision), seeding.torch_seeded(GPU, 0):
        moments = [tensor for state in optimizer.state.values() for tensor in state.values()]
        do = accelerate(step, batches[0], [*model.parameters(), *moments, totals]) if captured else step
        for number, batch in enumerate(batches):
            torch.manual_seed(dropout + number)
            do(*batch)
            known = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
            found.append(torch.cat([gradient.flatten() for gradient in known]))
    return found


def thirds(data: Dataset) -> list[tuple[Tensor, Tensor]]:
    return list(zip(data.train.images[:96].split(32), data.train.labels[:96].split(32), strict=True))


def distance(one: Tensor, other: Tensor) -> float:
    """‖one − other‖ / ‖one‖."""
    return ((one - other).norm() / one.norm()).item()


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_captured_step_is_the_plain_one(digits: Dataset, case: dict[str, Any], precision: str) -> None:
    """Its gradients are the plain step's for three steps: the same attack, masks, actions and update; others differ."""
    case = {**case, "training": {**case.get("training", {}), "precision": precision}}
    plain, captured = (gradients(case, digits, captured=way) for way in (False, True))
    other = gradients(case, digits, captured=False, dropout=7)
    for one, same, different in zip(plain, captured, other, strict=True):
        assert distance(one, same) < 0.01
        assert distance(one, different) > 0.5


def test_a_captured_run_learns(digits: Dataset) -> None:
    """Five epochs of captured steps on the digits bring natural accuracy far above chance."""
    assert metrics(digits, training={"epochs": 5, "compile": "on"})[-1]["test_accuracy"] > 0.8


@pytest.mark.parametrize("kind", ["ppo", "a2c", "dqn"])
def test_an_agent_trains(digits: Dataset, kind: str) -> None:
    """An epoch of rollouts, whose images come from the GPU and whose rewards do not, ends with numbers."""
    data = some(digits, train=320, test=100)
    (found,) = metrics(data, objective={"kind": kind, "n_steps": 2}, training={"epochs": 1})
    assert math.isfinite(found["loss"])
    assert -1 <= found["mean_reward"] <= 1


def test_nothing_waits_for_the_device_within_an_epoch(digits: Dataset) -> None:
    """Between an epoch's first batch and its last no operation synchronises."""
    spec = run_spec(training={"compile": "on"})
    model = build_model(spec.architecture, digits.image_shape, 10)
    initialise(model, 0)
    model.to(GPU)
    epochs = Epochs(spec, digits, model)
    batches = run(epochs.updates(1, 0))
    next(batches)
    try:
        with warnings.catch_warnings(category=UserWarning, action="ignore"):  # that it is a prototype
            torch.cuda.set_sync_debug_mode("error")
        for done in batches:
            if done == epochs.batches - 1:
                break
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert done == epochs.batches - 1


def test_a_captured_step_and_its_trials_leave_the_callers_random_state(digits: Dataset) -> None:
    """Neither the CPU's nor the device's random state is moved."""
    before = torch.get_rng_state(), torch.cuda.get_rng_state()
    metrics(some(digits, train=64, test=8), training={"epochs": 1, "compile": "on"})
    assert torch.equal(torch.get_rng_state(), before[0])
    assert torch.equal(torch.cuda.get_rng_state(), before[1])


def test_runs_trained_together_have_the_weights_of_those_alone(digits: Dataset) -> None:
    """In fp32, without dropout, whose masks are others there; alone, then together, then alone again.

    The second is an epoch ahead and ends an epoch earlier, so the first's captured step finds its weights moved.
    """
    data = some(digits, train=96, test=20)
    training = {"compile": "on", "optimizer": {"kind": "sgd"}}
    specs = [
        run_spec(seed=seed, architecture={"dropout": False}, training=training | {"epochs": 3 - seed})
        for seed in (0, 1)
    ]
    alone = [states(train(spec, data, device=GPU)) for spec in specs]
    found: list[list[TrainingEvent]] = [[], []]
    for place, event in train_together(specs, data, device=GPU, resume={1: alone[1][0]}):
        assert not isinstance(event, Ended) or event.error is None
        if not isinstance(event, Ended):
            found[place].append(event)
    for its, mine in zip(alone, found, strict=True):
        one, other = its[-1].model, states(mine)[-1].model
        assert max(distance(one[name].flatten(), other[name].flatten()) for name in one) < 1e-3


def states(events: Iterable[TrainingEvent]) -> list[TrainingState]:
    """After each epoch."""
    return [event.state for event in events if isinstance(event, CheckpointReady)]

"""What only a GPU can show: the captured step, and that nothing waits for the device within an epoch."""

import math
from typing import Any

import pytest
import torch

from gauntlet.data.datasets import Dataset
from gauntlet.events import EpochFinished
from gauntlet.models.architectures import build_model, initialise
from gauntlet.training.epochs import Epochs
from gauntlet.training.loop import train
from tests.gauntlet.examples import run_spec, some

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here"),
]
GPU = torch.device("cuda")


def rows(data: Dataset, **changes: Any) -> list[dict[str, float]]:
    found = train(run_spec(**changes), data, device=GPU)
    return [event.metrics for event in found if isinstance(event, EpochFinished)]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("kind", ["cross_entropy", "policy_gradient"])
def test_a_captured_run_is_the_plain_run(digits: Dataset, kind: str, precision: str) -> None:
    """One epoch of captured steps has the loss of one of plain steps, to rounding: the same masks, the same actions."""
    data = some(digits, train=320, test=100)
    plain, captured = (
        rows(data, objective={"kind": kind}, training={"epochs": 1, "compile": way, "precision": precision})[0]
        for way in ("off", "on")
    )
    assert captured["loss"] == pytest.approx(plain["loss"], rel=0.02)


def test_a_captured_run_learns(digits: Dataset) -> None:
    """Five epochs of captured steps on the digits bring natural accuracy far above chance."""
    assert rows(digits, training={"epochs": 5, "compile": "on"})[-1]["test_accuracy"] > 0.8


@pytest.mark.parametrize("kind", ["ppo", "a2c", "dqn"])
def test_an_agent_trains(digits: Dataset, kind: str) -> None:
    """An epoch of rollouts, whose images come from the GPU and whose rewards do not, ends with numbers."""
    data = some(digits, train=320, test=100)
    (found,) = rows(data, objective={"kind": kind, "n_steps": 2}, training={"epochs": 1})
    assert math.isfinite(found["loss"])
    assert -1 <= found["mean_reward"] <= 1


def test_nothing_waits_for_the_device_within_an_epoch(digits: Dataset) -> None:
    """Between an epoch's first batch and its last no operation synchronises."""
    spec = run_spec(training={"compile": "on"})
    model = build_model(spec.architecture, digits.image_shape, 10)
    initialise(model, 0)
    model.to(GPU)
    epochs = Epochs(spec, digits, model)
    batches = epochs.run(1, 0)
    next(batches)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for done in batches:
            if done == epochs.batches - 1:
                break
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert done == epochs.batches - 1


def test_a_captured_step_and_its_trials_leave_the_callers_random_state(digits: Dataset) -> None:
    """Neither the CPU's nor the device's random state is moved."""
    before = torch.get_rng_state(), torch.cuda.get_rng_state()
    rows(some(digits, train=64, test=8), training={"epochs": 1, "compile": "on"})
    assert torch.equal(torch.get_rng_state(), before[0])
    assert torch.equal(torch.cuda.get_rng_state(), before[1])

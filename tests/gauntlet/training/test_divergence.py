"""A run that leaves the range in which training means anything is stopped, with where it happened."""

import dataclasses
import math
from typing import Any

import pytest
import torch

from gauntlet.data.datasets import Dataset
from gauntlet.errors import TrainingDiverged
from gauntlet.events import EpochFinished
from gauntlet.training.loop import train
from tests.gauntlet.examples import CPU, events, finished, run_spec, some, states

POLICY_GRADIENT = {"kind": "policy_gradient"}
EXPLORING = {"kind": "policy_gradient", "action": "epsilon_greedy", "log_prob_floor": -16.118}


@pytest.mark.parametrize(
    ("objective", "lr"),
    [({"kind": "cross_entropy"}, 10.0), (EXPLORING | {"log_prob_floor": -1e4, "epsilon": 1.0}, 0.1)],
    ids=["cross-entropy", "off-policy"],
)
def test_a_runaway_is_stopped(few: Dataset, objective: dict[str, Any], lr: float) -> None:
    """A loss beyond ±1,000 ends the run with where it happened, before the epoch counts as finished."""
    spec = run_spec(objective=objective, training={"optimizer": {"lr": lr}})
    iterator, found = train(spec, few, device=CPU), []
    with pytest.raises(TrainingDiverged, match="diverged in epoch 1") as caught:
        found.extend(iterator)
    assert (caught.value.epoch, caught.value.batch) == (1, 3)
    assert caught.value.worst_loss > 1e3


def test_large_rewards_are_no_runaway(few: Dataset) -> None:
    """Off-policy, log P is near its floor of −16.118: with rewards of ±100 a loss of 1,600 is usual."""
    spec = run_spec(
        objective=EXPLORING | {"epsilon": 1.0, "reward": {"correct": 100, "wrong": -100}},
        training={"epochs": 1, "optimizer": {"lr": 1e-6}},
    )
    confident = {name: 30 * tensor for name, tensor in finished(run_spec(), few).model.items()}
    found = list(train(spec, few, device=CPU, initial_weights=confident))
    (epoch,) = (event for event in found if isinstance(event, EpochFinished))
    assert abs(epoch.metrics["loss"]) > 1e3


def test_a_runaway_is_stopped_within_an_epoch(digits: Dataset) -> None:
    """The loss is looked at every 50 batches, not only at the end of a long epoch."""
    spec = run_spec(training={"batch_size": 1, "optimizer": {"lr": 10}})
    with pytest.raises(TrainingDiverged) as caught:
        events(spec, some(digits, train=60, test=8))
    assert (caught.value.epoch, caught.value.batch) == (1, 50)


def test_a_nan_is_stopped(few: Dataset) -> None:
    """A loss that is no number ends the run, too."""
    state = states(events(run_spec(), few))[0]
    name = next(iter(state.model))
    broken = dataclasses.replace(state, model=state.model | {name: torch.full_like(state.model[name], math.nan)})
    with pytest.raises(TrainingDiverged, match="epoch 2") as caught:
        events(run_spec(), few, resume=broken)
    assert math.isnan(caught.value.worst_loss)


def test_a_nan_is_stopped_where_actions_are_sampled(few: Dataset) -> None:
    """Sampling from logits that are no numbers ends as a divergence, not as an error of torch."""
    spec = run_spec(objective=POLICY_GRADIENT)
    state = states(events(spec, few))[0]
    name = next(iter(state.model))
    broken = dataclasses.replace(state, model=state.model | {name: torch.full_like(state.model[name], math.nan)})
    with pytest.raises(TrainingDiverged):
        events(spec, few, resume=broken)

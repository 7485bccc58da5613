from pathlib import Path

import pytest
import torch
from torch import nn

from gauntlet.data.datasets import Dataset
from gauntlet.events import EpochFinished, TrainingEvent
from gauntlet.models.checkpoints import TrainingState, Versions, encode_training_state, load_training_state
from gauntlet.results.suspicions import of_average
from gauntlet.spec.runs.regularizers import Averaging
from gauntlet.training.measurement import natural_accuracy
from gauntlet.training.steps.averaging import WeightAverage
from tests.gauntlet.examples import events, measured, network, run_spec, same_tensors, states

DECAY = 0.75


def test_it_is_the_sum_of_all_weights_so_far_each_less_by_its_age() -> None:
    """After k updates: decay^k of the first weights, and (1 − decay) · decay^age of each that followed."""
    linear, normalised = nn.Linear(1, 1), nn.BatchNorm1d(1)
    model = nn.Sequential(linear, normalised)
    assert normalised.running_mean is not None
    values = [3.0, 7.0, -2.0]
    nn.init.constant_(linear.weight, 10.0)
    average = WeightAverage(Averaging(decay=DECAY), model)
    for value in values:
        nn.init.constant_(linear.weight, value)
        normalised.running_mean.fill_(value)
        average.update()
    assert average.network is not None
    wanted = DECAY**3 * 10 + 0.25 * (DECAY**2 * 3 + DECAY * 7 - 2)
    found = average.network.state_dict()
    assert found["0.weight"].item() == pytest.approx(wanted)
    assert found["1.running_mean"].item() == -2


def told(found: list[TrainingEvent]) -> list[dict[str, float]]:
    return [event.metrics for event in found if isinstance(event, EpochFinished)]


@pytest.mark.long(seconds=3)
def test_both_are_measured_and_the_weights_are_learned_as_without(few: Dataset) -> None:
    """The average by hand from the state of every batch; its accuracies beside the weights'; nothing else differs."""
    spec = run_spec(training={"epochs": 1, "averaging": {"decay": DECAY}})
    found, without = events(spec, few, every_state=True), events(run_spec(training={"epochs": 1}), few)
    last = states(found)[-1]
    assert same_tensors(last.model, states(without)[-1].model)
    by_hand = network().state_dict()
    for state in states(found):
        by_hand = {name: DECAY * by_hand[name] + (1 - DECAY) * state.model[name] for name in by_hand}
    for name, tensor in last.average.items():
        assert torch.allclose(tensor, by_hand[name], rtol=1e-5, atol=1e-7)
    (metrics,) = told(found)
    of_weights = {name: value for name, value in metrics.items() if not name.startswith("average_")}
    assert of_weights == told(without)[0]
    averaged = network()
    averaged.load_state_dict(last.average)
    seen = measured(averaged, few.test, eps=spec.adversary.eps)
    assert metrics["average_test_accuracy"] == seen.accuracy
    assert metrics["average_test_fgsm_accuracy"] == seen.fgsm_accuracy
    assert metrics["average_train_accuracy"] == natural_accuracy(averaged, few.train.take(24))
    assert of_average(metrics)["test_fgsm_accuracy"] == seen.fgsm_accuracy
    assert of_average(metrics)["loss"] == metrics["loss"]
    assert not any(name.startswith("average_") for name in of_average(metrics))


@pytest.mark.parametrize(
    ("averaging", "kept"),
    [
        (Averaging(), [(False, 0), (True, 1)]),
        (Averaging(keep="average"), [(True, 1)]),
        (Averaging(keep="weights"), [(False, 0)]),
        (None, [(False, 0)]),
    ],
)
def test_what_is_kept_is_what_was_asked_for(averaging: Averaging | None, kept: list[tuple[bool, int]]) -> None:
    """Weights and average, or one of them, or the weights where there is no average."""
    weights, average = {"w": torch.zeros(1)}, {"w": torch.ones(1)}
    state = TrainingState(1, 0, weights, {}, torch.zeros(6), (), "", average={} if averaging is None else average)
    assert [(averaged, int(tensors["w"].item())) for averaged, tensors in state.kept(averaging)] == kept


def test_a_state_remembers_both_that_a_guard_may_fall_back_on(tmp_path: Path) -> None:
    """Weights and average come back from the file as they were, neither in the other's place."""
    good = Versions({"w": torch.zeros(1)}, {"w": torch.ones(1)})
    state = TrainingState(1, 2, {"w": torch.ones(1)}, {}, torch.zeros(6), (), "", good=good)
    (tmp_path / "state").write_bytes(encode_training_state(state))
    found = load_training_state(tmp_path / "state").good
    assert [(averaged, tensors["w"].item()) for averaged, tensors in found] == [(False, 0.0), (True, 1.0)]

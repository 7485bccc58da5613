"""The guard on real runs, made to see a fall; a real collapse is recorded by benchmarks/correctness/collapse.py."""

import dataclasses
from fractions import Fraction
from pathlib import Path

import pytest
from pydantic import ValidationError
from torch import nn

from gauntlet import seeding
from gauntlet.attacks.gradient import pgd
from gauntlet.data.datasets import Dataset, to_unit
from gauntlet.events import BatchFinished, CheckpointReady, EpochFinished, Resumed, TrainingEvent, Warned
from gauntlet.models.architectures import build_model
from gauntlet.models.checkpoints import GuardState, TrainingState, encode_training_state, load_training_state
from gauntlet.results.suspicions import OVERFITTING, overfitting
from gauntlet.spec.experiment import RunSpec
from gauntlet.spec.runs.adversaries import NFgsmAdversary
from gauntlet.spec.runs.guard import Guard
from gauntlet.training.guard import TrainingGuard
from gauntlet.training.measurement import build_probe
from tests.gauntlet.examples import (
    bright_or_dark,
    events,
    measured,
    network,
    run_spec,
    same_tensors,
    states,
)
from tests.smallest import SMALLEST

pytestmark = pytest.mark.long(seconds=4)


def guarded(action: str, *, epochs: int = 3, architecture: dict[str, object] = SMALLEST) -> RunSpec:
    guard = {"action": action, "images": 50, "every": 1}
    return run_spec(architecture=architecture, training={"epochs": epochs, "checkpoint_every": 100, "guard": guard})


@pytest.fixture(scope="module")
def falling(few: Dataset) -> TrainingState:
    """After one epoch, where PGD is remembered as withstood by nearly all: what is probed next is a fall."""
    found = states(events(guarded("warn", epochs=1), few))[-1]
    return dataclasses.replace(found, guard=GuardState(best=0.99))


def metrics(found: list[TrainingEvent]) -> list[dict[str, float]]:
    return [event.metrics for event in found if isinstance(event, EpochFinished)]


def alarms(found: list[TrainingEvent]) -> list[tuple[int, str]]:
    return [(event.epoch, event.message) for event in found if isinstance(event, Warned) and event.kind == OVERFITTING]


def after(found: list[TrainingEvent], epoch: int) -> TrainingState:
    return next(state for state in states(found) if (state.epoch, state.batch) == (epoch, 0))


def read_back(state: TrainingState, folder: Path) -> TrainingState:
    (folder / "state").write_bytes(encode_training_state(state))
    return load_training_state(folder / "state")


def test_an_alarm_is_told_once_with_what_was_seen(falling: TrainingState, few: Dataset) -> None:
    """In the epoch of the fall, with the shares; it stays in force, which the state says, and changes nothing else."""
    found = events(guarded("warn"), few, falling)
    ((epoch, message),) = alarms(found)
    told = metrics(found)[0]
    assert epoch == 2
    assert told["probe_best_accuracy"] == 0.99
    assert told["probe_accuracy"] < 0.79
    assert f"fell from 99 % at its best to {100 * told['probe_accuracy']:.0f} %" in message
    assert OVERFITTING in after(found, 3).warnings
    calm = events(guarded("warn"), few)
    assert alarms(calm) == []
    assert same_tensors(after(calm, 3).model, after(found, 3).model)


def test_the_probe_is_pgd_on_the_first_training_images(few: Dataset) -> None:
    """`probe_accuracy` is what the network after the epoch withstands, and FGSM's share is of the same images.

    Of the paper's network: the smallest withstands neither.
    """
    spec, images = guarded("warn", epochs=2, architecture={"kind": "cnn"}), few.train.take(50)
    found = events(spec, few)
    assert any(told["probe_accuracy"] < told["probe_fgsm_accuracy"] for told in metrics(found))
    told, model = metrics(found)[-1], build_model(spec.architecture, few.image_shape, 10).eval()
    model.load_state_dict(after(found, 2).model)
    attacked = pgd(
        model,
        to_unit(images.images),
        images.labels,
        spec.adversary.eps,
        norm="Linf",
        steps=5,
        restarts=1,
        loss="cross_entropy",
        generator=seeding.generator("cpu", 0, "probe"),
    )
    withstood = (model(attacked).argmax(dim=1) == images.labels).double().mean().item()
    assert told["probe_accuracy"] == pytest.approx(withstood)
    assert told["probe_fgsm_accuracy"] == measured(model, images, eps=spec.adversary.eps).fgsm_accuracy
    assert told["probe_accuracy_n"] == 50
    assert told["probe_best_accuracy"] == max(each["probe_accuracy"] for each in metrics(found))


def test_stopping_keeps_the_epoch_before(falling: TrainingState, few: Dataset, tmp_path: Path) -> None:
    """Training ends at the alarm; told in place of that epoch's weights are those before, from within it too."""
    spec = guarded("stop")
    found = events(spec, few, falling, every_state=True)
    last = found[-1]
    assert isinstance(last, CheckpointReady)
    assert (last.epoch, last.keep, alarms(found)[0][0]) == (2, False, 2)
    assert last.instead is not None
    assert last.instead.epoch == 1
    assert same_tensors(last.instead.kept.weights, falling.model)
    within = next(state for state in states(found) if state.batch == 2)
    *_, again = events(spec, few, read_back(within, tmp_path))
    assert isinstance(again, CheckpointReady)
    assert again.instead is not None
    assert same_tensors(again.instead.kept.weights, falling.model)
    assert encode_training_state(again.state) == encode_training_state(last.state)
    assert events(spec, few, read_back(last.state, tmp_path)) == [Resumed(2, 0, bit_identical=True)]


def test_where_nothing_was_before_the_alarm_its_own_weights_are_kept(few: Dataset) -> None:
    """In the first epoch: a run has a checkpoint in any case."""
    spec = guarded("stop", epochs=1)
    guard = TrainingGuard(spec, few.train, network(), build_probe(network(), spec.adversary.eps))
    state = dataclasses.replace(states(events(guarded("off", epochs=1), few))[-1], guard=GuardState())
    assert guard.judge({OVERFITTING: "It is."})[OVERFITTING].startswith("It is. Training ends here")
    told = guard.checkpoint(state)
    assert (told.keep, told.instead) == (True, None)


def test_it_goes_on_with_n_fgsm(falling: TrainingState, few: Dataset, tmp_path: Path) -> None:
    """Until the alarm nothing differs; from then on it is the run that N-FGSM attacks, resumed or not."""
    spec = guarded("n_fgsm")
    found, warned = (events(guarded(action), few, falling) for action in ("n_fgsm", "warn"))
    assert alarms(found)[0][1].endswith("From the next epoch on it trains on N-FGSM.")
    assert same_tensors(after(found, 2).model, after(warned, 2).model)
    again = events(spec, few, read_back(after(found, 2), tmp_path))
    assert encode_training_state(states(again)[-1]) == encode_training_state(after(found, 3))
    asked = spec.model_copy(update={"adversary": NFgsmAdversary(eps=spec.adversary.eps)})
    asked = asked.model_copy(update={"training": guarded("warn").training})
    start = dataclasses.replace(after(found, 2), guard=GuardState())
    assert same_tensors(after(events(asked, few, start), 3).model, after(found, 3).model)
    assert not same_tensors(after(warned, 3).model, after(found, 3).model)


def test_what_it_costs_nothing_when_off(few: Dataset) -> None:
    """Off, no image is probed and nothing of the run differs but the metrics of probes."""
    on, off = (
        events(
            run_spec(architecture=SMALLEST, training={"guard": {"action": action, "every": 1}}), few, every_state=True
        )
        for action in ("warn", "off")
    )
    assert all(not any(name.startswith("probe") for name in told) for told in metrics(off))
    assert all("probe_accuracy" in told for told in metrics(on))
    assert same_tensors(states(on)[-1].model, states(off)[-1].model)
    # 24 test and as many training images are a batch each; 72 probed ones are two, under FGSM and under PGD.
    assert [next(event for event in found if isinstance(event, BatchFinished)).measured for found in (on, off)] == [
        6,
        2,
    ]


@pytest.mark.parametrize(("images", "period"), [(50_000, 1), (28_000, 1), (27_999, 2), (3_000, 10), (1_437, 20)])
def test_probes_are_as_far_apart_as_keeps_them_cheap(images: int, period: int) -> None:
    """200 images take 14 passes each, a training image 5: 2,800 are a fiftieth of what 28,000 images take."""
    assert Guard().period(images) == period
    assert Guard(every=3).period(images) == 3


CALM = {
    "test_accuracy": 0.5,
    "test_fgsm_accuracy": 0.4,
    "train_accuracy": 0.5,
    "train_adversarial_accuracy": 0.4,
    "fgsm_lowered_loss": 0.05,
}


@pytest.mark.parametrize(
    ("epoch", "changes", "alarmed", "due"),
    [
        (4, {}, False, False),
        (5, {}, False, True),
        (4, {}, True, True),
        (4, {"fgsm_lowered_loss": 0.1}, False, True),
        (4, {"test_fgsm_accuracy": 0.56}, False, True),
        (4, {"train_adversarial_accuracy": 0.56}, False, True),
    ],
)
def test_a_probe_is_due_at_its_time_and_where_an_epoch_is_suspicious(
    epoch: int, changes: dict[str, float], *, alarmed: bool, due: bool
) -> None:
    """Every fifth epoch, while an alarm lasts, and where attacked images do better than natural ones."""
    spec = run_spec(training={"guard": {"every": 5}})
    model = nn.Sequential(nn.Flatten(), nn.Linear(144, 2))
    guard = TrainingGuard(spec, bright_or_dark(20), model, build_probe(model, Fraction(1, 255)))
    assert bool(guard.probe(epoch, CALM | changes, lambda: None, alarmed=alarmed)) is due


# FGSM at 16/255 on 3,000 CIFAR-10 images: under PGD, under FGSM and what FGSM lowered by epoch; the ninth is the onset.
UNDER_PGD = (0.11, 0.12, 0.125, 0.145, 0.1, 0.115, 0.125, 0.105, 0.075, 0.05, 0.015, 0.0)
UNDER_FGSM = (0.065, 0.15, 0.14, 0.17, 0.12, 0.205, 0.195, 0.185, 0.275, 0.275, 0.44, 0.48)
LOWERED = (0.01, 0.12, 0.03, 0.065, 0.1, 0.155, 0.16, 0.225, 0.235, 0.335, 0.455, 0.59)


def test_a_recorded_collapse_is_seen_at_its_onset() -> None:
    """On the series of a real collapse nothing is said before the epoch in which PGD falls away from FGSM."""
    found, best = [], 0.0
    for epoch, (pgd_, fgsm, lowered) in enumerate(zip(UNDER_PGD, UNDER_FGSM, LOWERED, strict=True), start=1):
        best = max(best, pgd_)
        told = {"probe_accuracy": pgd_, "probe_fgsm_accuracy": fgsm, "probe_best_accuracy": best}
        assert not overfitting(CALM | told)
        if overfitting(CALM | told | {"fgsm_lowered_loss": lowered}):
            found.append(epoch)
    assert found == [9, 10, 11, 12]


@pytest.mark.parametrize(("now", "said"), [(0.31, False), (0.3, True)])
def test_a_fall_of_twenty_points_is_seen(now: float, *, said: bool) -> None:
    """From 50 % to 30 % under PGD is an alarm though FGSM is not far above; one point less is none."""
    told = CALM | {"probe_accuracy": now, "probe_fgsm_accuracy": 0.4, "probe_best_accuracy": 0.5}
    assert (overfitting(told) is not None) is said


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"adversary": {"norm": "L2"}, "training": {"guard": {"action": "n_fgsm"}}}, "action"),
        ({"adversary": {"kind": "n_fgsm", "eps": "8/255"}, "training": {"guard": {"action": "n_fgsm"}}}, "action"),
        ({"objective": {"kind": "a2c"}, "training": {"guard": {"action": "n_fgsm"}}}, "action"),
        ({"objective": {"kind": "a2c"}, "training": {"awp": {}}}, "awp"),
        ({"objective": {"kind": "dqn"}, "training": {"grad_align": {}}}, "grad_align"),
        ({"training": {"awp": {}, "compile": "on"}}, "compile"),
    ],
)
def test_what_cannot_be_done_is_refused_at_its_field(changes: dict[str, object], field: str) -> None:
    """N-FGSM where it is no cure, penalties for agents, and a compiled second derivative."""
    with pytest.raises(ValidationError) as refused:
        run_spec(**changes)
    assert field in {error["loc"][-1] for error in refused.value.errors()}

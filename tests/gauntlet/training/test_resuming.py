"""A resumed run is an uninterrupted one, bit by bit, from whichever state it goes on."""

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from gauntlet.data.datasets import Dataset
from gauntlet.events import EpochFinished, Resumed, TrainingEvent, Warned
from gauntlet.models.checkpoints import TrainingState, encode_training_state, load_training_state
from gauntlet.models.layers import Dropout
from gauntlet.spec.experiment import RunSpec
from gauntlet.training.loop import train
from tests.gauntlet.examples import CPU, events, needs_compiler, run_spec, same_tensors, some, states
from tests.smallest import SMALLEST

pytestmark = pytest.mark.long(seconds=10)

CROSS_ENTROPY = {"kind": "cross_entropy"}
# Everything that draws random numbers: dropout in both passes, actions in the attack and in the loss.
RANDOM = {
    "objective": {"kind": "policy_gradient", "entropy_bonus": 0.1, "action_forward": "eval"},
    "adversary": {"loss": "objective", "mode": "train"},
}
# 65 of the 72 images are trained on, which are three batches, too.
VALIDATED = RANDOM | {"evaluation": {"select_on": "validation"}}
# 72 images: two full batches an epoch, and a smaller one.
BATCHES = 3
GREY = {"mean": [0.3], "std": [0.2]}
TRAINING = {"precision", "compile", "batch_size", "grad_align", "awp", "averaging"}


def spec_for(epochs: int, **changes: Any) -> RunSpec:
    return run_spec(
        seed=5,
        **{"architecture": SMALLEST} | {name: value for name, value in changes.items() if name not in TRAINING},
        training={
            "epochs": epochs,
            "optimizer": {"decay": 0.01},
            "precision": changes.get("precision", "fp32"),
            "compile": changes.get("compile", "off"),
            "batch_size": changes.get("batch_size", 32),
            "grad_align": changes.get("grad_align"),
            "awp": changes.get("awp"),
            "averaging": changes.get("averaging"),
        },
    )


def rows(found: list[TrainingEvent]) -> list[object]:
    """All that is told and reproducible: metric rows and warnings."""
    return [
        (event.epoch, event.metrics) if isinstance(event, EpochFinished) else event
        for event in found
        if isinstance(event, EpochFinished | Warned)
    ]


def digests(found: list[TrainingEvent]) -> dict[tuple[int, int], str]:
    """The sha256 of every state's file: weights, optimiser, tally, warnings, position."""
    return {
        (state.epoch, state.batch): hashlib.sha256(encode_training_state(state)).hexdigest() for state in states(found)
    }


# A rollout of one step is a batch of 32 images, too.
A2C = {"objective": {"kind": "a2c"}}
PPO = {"objective": {"kind": "ppo", "n_steps": 1, "n_epochs": 2}}
DQN = {"objective": {"kind": "dqn", "n_steps": 1, "gradient_steps": 2, "epsilon": 0.5}}

CASES = [
    pytest.param({"objective": CROSS_ENTROPY}, id="ce-fp32"),
    pytest.param({"objective": CROSS_ENTROPY, "precision": "bf16"}, id="ce-bf16"),
    pytest.param(RANDOM, id="random-fp32"),
    pytest.param(VALIDATED, id="validated-fp32"),
    pytest.param(RANDOM | {"precision": "bf16"}, id="random-bf16"),
    pytest.param({"objective": CROSS_ENTROPY, "grad_align": {}, "awp": {}, "averaging": {}}, id="added"),
    pytest.param(RANDOM | {"normalisation": GREY, "averaging": {}}, id="normalised"),
    pytest.param(A2C | {"normalisation": GREY}, id="a2c-normalised"),
    pytest.param(PPO | {"averaging": {"keep": "weights"}}, id="ppo"),
    pytest.param(PPO | {"precision": "bf16"}, id="ppo-bf16"),
    pytest.param(DQN, id="dqn"),
    pytest.param({"objective": PPO["objective"] | {"n_steps": 2}, "batch_size": 16}, id="ppo-of-two-steps"),
    pytest.param({"objective": DQN["objective"] | {"n_steps": 2}, "batch_size": 16}, id="dqn-of-two-steps"),
]


@pytest.mark.parametrize("case", CASES)
def test_a_resumed_run_is_an_uninterrupted_one(few: Dataset, tmp_path: Path, case: dict[str, Any]) -> None:
    """From the file of a state within an epoch or at its end on, all tensors, moments and metric rows are equal."""
    spec = spec_for(2, **case)
    whole = events(spec, few, every_state=True)
    wanted = digests(whole)
    assert set(wanted) == {(epoch, batch) for epoch in range(2) for batch in range(BATCHES)} - {(0, 0)} | {(2, 0)}
    assert len(set(wanted.values())) == len(wanted)
    file = tmp_path / "state"
    # Within the first epoch, at its end, within the second and at the run's end.
    first, _, first_end, second, _, end = states(whole)
    for state in (first, first_end, second, end):
        file.write_bytes(encode_training_state(state))
        rest = events(spec, few, load_training_state(file), every_state=True)
        assert rest[0] == Resumed(state.epoch, state.batch, bit_identical=True)
        position = (state.epoch, state.batch)
        assert digests(rest) == {where: digest for where, digest in wanted.items() if where > position}
        assert rows(rest) == [row for row in rows(whole) if _epoch(row) > state.epoch]
        if states(rest):
            assert same_tensors(states(rest)[-1].model, states(whole)[-1].model)
            assert same_tensors(states(rest)[-1].optimizer, states(whole)[-1].optimizer)
            assert same_tensors(states(rest)[-1].critic, states(whole)[-1].critic)


def _epoch(row: Any) -> int:
    return row.epoch if isinstance(row, Warned) else row[0]


def test_a_state_that_is_off_by_a_bit_shows(few: Dataset) -> None:
    """The negative control: one weight, one moment, the tally or the position changed, and the rest differs."""
    # In the smallest network a moment's last bit is lost in rounding.
    spec = spec_for(1, objective=CROSS_ENTROPY, architecture={"kind": "cnn"})
    whole = events(spec, few, every_state=True)
    state = states(whole)[0]
    same = events(spec, few, state, every_state=True)
    assert (digests(same)[1, 0], rows(same)) == (digests(whole)[1, 0], rows(whole))
    for part in ("model", "optimizer", "totals", "batch"):
        changed = events(spec, few, _changed(state, part), every_state=True)
        assert (digests(changed)[1, 0], rows(changed)) != (digests(whole)[1, 0], rows(whole)), part


def _changed(state: TrainingState, part: str) -> TrainingState:
    if part == "batch":
        return dataclasses.replace(state, batch=state.batch + 1)
    if part == "totals":
        return dataclasses.replace(state, totals=state.totals + 1e-9)
    tensors = {name: tensor.clone() for name, tensor in getattr(state, part).items()}
    values = max(tensors.values(), key=torch.numel).view(-1)
    largest = values.argmax()
    values[largest] = torch.nextafter(values[largest], torch.tensor(torch.inf))
    changed: dict[str, Any] = {part: tensors}
    return dataclasses.replace(state, **changed)


def test_a_resumed_epoch_counts_its_own_images(few: Dataset) -> None:
    """The speed of an epoch that was resumed is that of the images trained since."""
    spec = spec_for(1, objective=CROSS_ENTROPY)
    state = states(events(spec, few, every_state=True))[0]
    (finished,) = (event for event in events(spec, few, state) if isinstance(event, EpochFinished))
    assert finished.images_per_second == pytest.approx(40 / finished.seconds)


@needs_compiler
def test_compiling_is_part_of_the_environment(few: Dataset) -> None:
    """A state of a run that is not compiled is told not to be bit-identical where it goes on compiled.

    Nothing is compiled before the first batch.
    """
    plain, compiled = (spec_for(1, objective=CROSS_ENTROPY, compile=how) for how in ("off", "on"))
    state = states(events(plain, few, every_state=True))[0]
    for spec, bit_identical in ((plain, True), (compiled, False)):
        resumed = next(train(spec, few, device=CPU, resume=state))
        assert resumed == Resumed(0, 1, bit_identical=bit_identical)


@needs_compiler
@pytest.mark.long(seconds=25, shares="compiler")
@pytest.mark.thorough
@pytest.mark.timeout(1200)
def test_a_compiled_run_resumes_as_any_other(few: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From within its second epoch on, compiled again, it draws and computes the same to the bit.

    With all that draws random numbers: dropout in both passes, actions in the attack and in the loss. Of a network of
    one layer, since g++ takes seconds for each; and of 64 images at once what measures would be compiled, too.
    """

    def one_layer(*_: object) -> nn.Module:
        return nn.Sequential(nn.Flatten(), Dropout(0.25), nn.Linear(few.train.images[0].numel(), len(few.classes)))

    monkeypatch.setattr("gauntlet.training.loop.build_model", one_layer)
    spec = spec_for(2, **RANDOM, compile="on", precision="bf16", batch_size=16)
    data = some(few, train=48, test=4)
    whole = events(spec, data, every_state=True)
    (within,) = (state for state in states(whole) if (state.epoch, state.batch) == (1, 2))
    (tmp_path / "state").write_bytes(encode_training_state(within))
    rest = events(spec, data, load_training_state(tmp_path / "state"), every_state=True)
    assert rest[0] == Resumed(1, 2, bit_identical=True)
    assert digests(rest) == {(2, 0): digests(whole)[2, 0]}
    assert rows(rest) == [row for row in rows(whole) if _epoch(row) > 1]


# Two batches, each attacked and learned from in train mode, or learned from twice.
NORMALISED = {"loss": RANDOM, "ppo": {"objective": PPO["objective"] | {"update_mode": "train"}}}


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(NORMALISED["loss"], id="loss"),
        pytest.param(NORMALISED["ppo"], id="ppo", marks=pytest.mark.thorough),
    ],
)
def test_a_resumed_run_keeps_the_statistics_of_batch_normalisation(few: Dataset, case: dict[str, Any]) -> None:
    """They are state, too, and every pass in train mode changes them, the attack's as well."""
    data = some(few, train=12, test=8)
    spec = spec_for(1, **case, architecture={"kind": "resnet18"}, batch_size=8)
    whole = events(spec, data, every_state=True)
    within, end = states(whole)
    assert (within.epoch, within.batch, end.epoch) == (0, 1, 1)
    assert int(end.model["bn1.num_batches_tracked"]) == 4
    assert not torch.equal(within.model["bn1.running_mean"], end.model["bn1.running_mean"])
    rest = events(spec, data, within, every_state=True)
    assert digests(rest) == {(1, 0): digests(whole)[1, 0]}
    assert rows(rest) == rows(whole)

"""A run over two processes is the run of one, but for the last bits of sums; each process is a real one, by gloo."""

import copy
import os
import signal
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from functools import partial
from typing import Any

import pytest
import torch

from gauntlet.data.datasets import Dataset
from gauntlet.errors import ProcessLost
from gauntlet.events import CheckpointReady, EpochFinished, Resumed, StateReady, TrainingEvent
from gauntlet.models.checkpoints import TrainingState
from gauntlet.spec.experiment import RunSpec
from gauntlet.training.distributed import is_distributable, train_distributed
from gauntlet.training.loop import train
from tests.gauntlet.examples import CPU, run_spec, some

pytestmark = [pytest.mark.long(seconds=20), pytest.mark.thorough]

STILL = {"optimizer": {"kind": "sgd", "lr": 0.05, "momentum": 0.9}, "batch_size": 13, "epochs": 1}
TWO = [CPU, CPU]


def told(data: Dataset) -> Callable[[], Dataset]:
    """Something that can be pickled and reads these images; what is of this file would have pytest loaded, too."""
    return partial(copy.copy, data)


def last_state(events: list[TrainingEvent]) -> TrainingState:
    return [event.state for event in events if isinstance(event, CheckpointReady)][-1]


def assert_same(found: list[TrainingEvent], alone: list[TrainingEvent]) -> None:
    """The same events, with the numbers and the weights of one process."""
    assert [type(event) for event in found] == [type(event) for event in alone]
    for one, other in zip(found, alone, strict=True):
        if isinstance(one, EpochFinished) and isinstance(other, EpochFinished):
            assert one.metrics == pytest.approx(other.metrics, rel=1e-3, abs=1e-4)
    mine, its = last_state(found).model, last_state(alone).model
    assert mine.keys() == its.keys()
    for name, weights in its.items():
        wide = weights.double()
        assert (mine[name] - wide).norm() <= 1e-3 * wide.norm() + 1e-6, name
    # Momentum is what gradients added up to.
    found_sums, sums = last_state(found).optimizer, last_state(alone).optimizer
    for name, gradients in sums.items():
        assert (found_sums[name] - gradients).norm() <= 1e-2 * gradients.norm() + 1e-4, name


# Dropout, random starts, a baseline of the whole batch, half of it attacked, augmentation; at last one image.
PAPER: dict[str, Any] = {
    "objective": {"kind": "policy_gradient", "baseline": "batch_mean", "group": 2},
    "adversary": {"kind": "fgsm_rs", "eps": "8/255"},
    "training": STILL | {"mix": "half", "augmentation": {}, "max_grad_norm": 1.0},
}
# Batch statistics of uneven parts, in one update: further ones, or an attack along a sign, enlarge last bits.
RESNET: dict[str, Any] = {
    "architecture": {"kind": "preactresnet18"},
    "normalisation": {"mean": [0.3], "std": [0.4]},
    "objective": {"kind": "cross_entropy"},
    "adversary": {"kind": "none", "eps": "8/255"},
    "training": STILL | {"batch_size": 7, "epochs": 100, "optimizer": {"kind": "sgd", "lr": 0.01, "momentum": 0.9}},
}


def test_two_processes_train_the_run_of_one_and_go_on_from_a_state(digits: Dataset) -> None:
    """Events, metrics and weights, whatever looks at a whole batch or draws for it.

    Bit by bit from a state where there are as many processes; in one process as several do but for last bits.
    """
    data, spec = some(digits, train=14, test=5), run_spec(**PAPER)
    alone = list(train(spec, data, device=CPU, wants_state=lambda: True))
    whole = list(train_distributed(spec, data, read=told(data), devices=TWO, wants_state=lambda: True))
    assert_same(whole, alone)
    (state,) = [event.state for event in whole if isinstance(event, StateReady)]
    assert (state.epoch, state.batch) == (0, 1)
    again = list(train_distributed(spec, data, read=told(data), devices=TWO, resume=state))
    assert again[0] == Resumed(0, 1, bit_identical=True)
    for name, weights in last_state(whole).model.items():
        assert last_state(again).model[name].equal(weights)
    by_one = list(train(spec, data, device=CPU, resume=state))
    assert by_one[0] == Resumed(0, 1, bit_identical=False)
    assert_same(by_one[1:], again[1:])


@contextmanager
def at_work(events: Iterator[TrainingEvent]) -> Iterator[Iterator[TrainingEvent]]:
    """Ended with the block, however that ends: who trains next in this process would wait for what is left of it."""
    assert isinstance(events, Generator)
    with closing(events):
        yield events


def first_epoch(events: Iterator[TrainingEvent]) -> list[TrainingEvent]:
    found = [next(events)]
    while not isinstance(found[-1], CheckpointReady):
        found.append(next(events))
    return found


def test_batches_are_normalised_as_one_and_whoever_stops_ends_all(digits: Dataset) -> None:
    """The run of one process where layers look at a whole batch; no process stays of one that is given up."""
    data, spec = some(digits, train=7, test=5), run_spec(**RESNET)
    alone, before = first_epoch(train(spec, data, device=CPU)), children()
    with at_work(train_distributed(spec, data, read=told(data), devices=TWO)) as events:
        assert_same(first_epoch(events), alone)
        assert len(children() - before) == 1
    assert children() == before
    assert not torch.distributed.is_initialized()


def test_a_loss_is_told(digits: Dataset) -> None:
    """One that is killed ends the run by an error, and is told of."""
    data, spec = some(digits, train=40, test=11), run_spec(training=STILL | {"epochs": 100})
    before = children()
    lost: list[bool] = []
    training = train_distributed(spec, data, read=told(data), devices=TWO, lost=lambda: lost.append(True))
    with at_work(training) as events:
        next(events)
        assert lost == []
        for pid in children() - before:
            os.kill(pid, signal.SIGKILL)
        with pytest.raises(ProcessLost):
            list(events)
    assert children() == before


def children() -> set[int]:
    """The processes that this one started and has not waited for, but for the one that keeps count for them."""
    with open(f"/proc/self/task/{os.getpid()}/children") as file:  # noqa: PTH123  # a kernel's file
        pids = {int(pid) for pid in file.read().split()}
    return {pid for pid in pids if "resource_tracker" not in _command(pid)}


def _command(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/cmdline") as file:  # noqa: PTH123  # likewise
            return file.read()
    except FileNotFoundError:
        return ""


@pytest.mark.parametrize(
    ("changes", "distributable"),
    [
        ({}, True),
        ({"architecture": {"kind": "resnet18"}}, True),
        ({"objective": {"kind": "ppo"}}, False),
        ({"training": {"awp": {}}}, False),
        ({"training": {"grad_align": {}}}, False),
    ],
)
def test_some_runs_are_for_one_process(digits: Dataset, changes: dict[str, Any], distributable: bool) -> None:
    """What several would not compute as one does."""
    spec: RunSpec = run_spec(**changes)
    assert is_distributable(spec, digits) == distributable

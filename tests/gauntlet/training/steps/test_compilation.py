"""When a step is compiled, and how one is captured."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from gauntlet.checks import machine
from gauntlet.data.datasets import Dataset, ImageSet
from gauntlet.errors import CompilerMissing
from gauntlet.events import EpochFinished
from gauntlet.spec.runs.training import TrainingSpec
from gauntlet.training import epochs
from gauntlet.training.loop import train
from gauntlet.training.steps import compilation, cuda_graph
from gauntlet.training.steps.compilation import compiler_present, compiles
from gauntlet.training.steps.cuda_graph import CapturedStep, unchanged
from tests.gauntlet.examples import CPU, GPU, events, run_spec, same_tensors, states


def data(images: int, side: int) -> Dataset:
    pixels = torch.zeros(images, 3, 1, 1, dtype=torch.uint8).expand(-1, -1, side, side)
    some = ImageSet(pixels, torch.zeros(images, dtype=torch.int64))
    return Dataset(some, some, ("a", "b"))


@pytest.fixture
def _compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compilation, "compiler_present", lambda _: True)


@pytest.mark.usefixtures("_compiler")
def test_only_long_runs_are_compiled() -> None:
    """`auto` compiles the paper's runs and a study on 10,000 images, not the quickstart; a GPU captures them all."""
    assert compiles(TrainingSpec(epochs=220), data(50_000, 32), CPU)
    assert compiles(TrainingSpec(epochs=16), data(10_000, 32), CPU)
    assert not compiles(TrainingSpec(epochs=40), data(1_437, 16), CPU)
    assert not compiles(TrainingSpec(epochs=1), data(10_000, 32), CPU)
    assert compiles(TrainingSpec(epochs=1), data(100, 16), GPU)


@pytest.mark.usefixtures("_compiler")
@pytest.mark.parametrize("device", [CPU, GPU], ids=str)
def test_the_spec_decides(device: torch.device) -> None:
    """`on` compiles the shortest run, `off` not even the longest."""
    assert compiles(TrainingSpec(epochs=1, compile="on"), data(1, 16), device)
    assert not compiles(TrainingSpec(epochs=220, compile="off"), data(50_000, 32), device)


def test_without_a_compiler_auto_runs_as_it_is(monkeypatch: pytest.MonkeyPatch, few: Dataset) -> None:
    """Where there is none, `auto` does without, `on` is an error that says what to install."""
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert not compiler_present(CPU)
    assert not compiles(TrainingSpec(epochs=220), data(50_000, 32), CPU)
    with pytest.raises(CompilerMissing, match="Install g\\+\\+"):
        next(iter(train(run_spec(training={"compile": "on"}), few, device=CPU)))


def test_without_pythons_headers_there_is_no_compiling(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The compiled code includes Python.h, which Debian keeps in a package of its own."""
    monkeypatch.setattr(machine.sysconfig, "get_path", lambda _: str(tmp_path))
    assert not compiler_present(CPU)


def test_what_is_tried_out_is_undone() -> None:
    """Values changed inside are as before, in the same memory, with and without gradients."""
    weights, buffer = torch.ones(3, requires_grad=True), torch.zeros(2)
    where = weights.data_ptr()
    with unchanged([weights, buffer]):
        weights.data.mul_(5)
        buffer += 1
    assert weights.tolist() == [1, 1, 1]
    assert buffer.tolist() == [0, 0]
    assert weights.data_ptr() == where


class Replay:
    """Stands in for a CUDA graph where there is no GPU: nothing happens until it is replayed."""

    def __init__(self, run: Callable[[], None]) -> None:
        self.replay = run


def test_a_captured_step_reads_its_own_buffers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trials leave no trace, and every call puts its inputs where the graph reads them before it replays."""
    total, trials = torch.zeros(1), []

    def step(images: Tensor, labels: Tensor, noise: Tensor) -> None:
        total.add_(images.sum() + 10 * labels.sum() + 100 * noise.sum())

    def try_out(run: Callable[[], None]) -> None:
        run()
        trials.append(total.item())

    monkeypatch.setattr(cuda_graph, "try_out", try_out)
    monkeypatch.setattr(cuda_graph, "capture", Replay)
    example = (torch.ones(4), torch.ones(2), torch.ones(1))
    captured = CapturedStep(step, example, [total])
    assert (trials, total.item()) == ([124], 0)
    captured(torch.full((4,), 2.0), torch.zeros(2), torch.full((1,), 0.5))
    assert total.item() == 8 + 50
    captured(torch.full((4,), 3.0), torch.ones(2), torch.zeros(1))
    assert total.item() == 8 + 50 + 12 + 20
    assert [tensor.unique().tolist() for tensor in example] == [[1], [1], [1]]


@pytest.mark.parametrize("kind", ["cross_entropy", "policy_gradient"])
def test_a_run_whose_steps_are_captured_is_the_same_run(
    few: Dataset, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """With replays in place of the steps, metrics, weights and moments are equal to the bit."""
    spec = run_spec(objective={"kind": kind}, training={"compile": "off"})
    plain = events(spec, few)
    monkeypatch.setattr(cuda_graph, "try_out", lambda run: [run() for _ in range(3)])
    monkeypatch.setattr(cuda_graph, "capture", Replay)
    monkeypatch.setattr(epochs, "compiles", lambda *_: True)
    monkeypatch.setattr(epochs, "accelerate", CapturedStep)
    captured = events(spec, few)
    for one, other in zip(states(plain), states(captured), strict=True):
        assert same_tensors(one.model, other.model)
        assert same_tensors(one.optimizer, other.optimizer)
    assert [event.metrics for event in plain if isinstance(event, EpochFinished)] == [
        event.metrics for event in captured if isinstance(event, EpochFinished)
    ]

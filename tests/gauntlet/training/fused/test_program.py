"""What becomes of Triton's kernels that fail, and what a trial of them finds; none of it takes Triton."""

import logging
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from gauntlet.data.datasets import Dataset
from gauntlet.models.architectures import build_model, initialise
from gauntlet.spec.runs.architectures import Cnn
from gauntlet.spec.runs.training import Precision
from gauntlet.training.epochs import Epochs
from gauntlet.training.fused import network as stacked
from gauntlet.training.fused import program as programs
from gauntlet.training.fused.network import StackedCnn
from gauntlet.training.fused.program import Program
from gauntlet.training.fused.together import _Programs
from gauntlet.training.fused.trial import disagreement
from gauntlet.training.updates import Update
from tests.gauntlet.examples import network, run_spec, some

SHAPE = (3, 12, 12)


def due(data: Dataset, count: int) -> dict[int, Update]:
    found = {}
    for place in range(count):
        spec = run_spec(seed=place)
        model = build_model(spec.architecture, data.image_shape, 10)
        initialise(model, spec.seed)
        found[place] = next(Epochs(spec, data, model).updates(1, 0))
    return found


def failing(monkeypatch: pytest.MonkeyPatch, error: Exception) -> list[str]:
    """Triton's kernels are taken unless torch's are asked for, and a step by them raises; returns who is asked for."""
    asked: list[str] = []

    def taken(kernels: str, *_: Any) -> bool:
        asked.append(kernels)
        return kernels != "torch"

    def fails(_: Program) -> None:
        raise error

    monkeypatch.setattr(programs, "computed_by_triton", taken)
    monkeypatch.setattr(Program, "_stacked_rmsprop", fails)
    return asked


def test_what_fails_is_not_tried_again_with_its_kind(
    digits: Dataset, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Others' kernels are still Triton's to try; the log has the whole error, once for the same one."""
    asked = failing(monkeypatch, RuntimeError("no such instruction"))
    together = _Programs(["a", "a", "a", "b", "b"])
    updates = due(some(digits, train=8, test=1), 5)
    together.do({place: updates[place] for place in (0, 1, 2)})
    together.do({place: updates[place] for place in (0, 1)})
    together.do({place: updates[place] for place in (3, 4)})
    assert asked == ["auto", "torch", "auto"]
    warned = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert [record.exc_info is not None for record in warned] == [True]


def test_what_is_not_tried_for_its_precision_leaves_others_to_triton(
    digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where `auto` takes torch's, as in fp32, nothing has failed."""
    asked: list[str] = []
    monkeypatch.setattr(programs, "computed_by_triton", lambda kernels, *_: asked.append(kernels))
    together = _Programs(["a", "a", "a"])
    updates = due(some(digits, train=8, test=1), 3)
    together.do(updates)
    together.do({place: updates[place] for place in (0, 1)})
    assert asked == ["auto", "auto"]


ACCELERATOR_ERROR = getattr(torch, "AcceleratorError", torch.OutOfMemoryError)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, ACCELERATOR_ERROR])
def test_a_device_that_fails_is_no_fault_of_the_kernels(
    error: type[Exception], digits: Dataset, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is raised: torch's would fare no better."""
    failing(monkeypatch, error("the device"))
    updates = due(some(digits, train=8, test=1), 2)
    with pytest.raises(error, match="the device"):
        _Programs(["a", "a"]).do(updates)
    assert not caplog.records


def test_without_dropout_nothing_is_drawn() -> None:
    """Seeds of runs stay what they are."""
    seeds = torch.tensor([3, 4])
    without = StackedCnn(Cnn(dropout=False), [network(seed=seed, shape=SHAPE) for seed in (0, 1)])
    assert without.drawn(seeds, torch.rand(4, *SHAPE)) is seeds


class Other(StackedCnn):
    """Where Triton's kernels would compute, torch's do, with a fault."""

    fault = "none"

    def begin(self, words: Tensor) -> tuple[Tensor, ...]:
        self._words = words
        return tuple(self.weights)

    def forward(self, images: Tensor) -> Tensor:
        fault = self.fault if self.by_triton else "none"
        words = self._words if self.training else None
        if fault == "lost border taps":
            images = F.pad(images[..., :-1], (0, 1))
        with pytest.MonkeyPatch.context() as patched:
            if fault == "unscaled dropout" and words is not None:
                dropped = stacked._Dropped.__call__
                patched.setattr(
                    stacked._Dropped, "__call__", lambda self, values, rate: dropped(self, values, rate) * (1 - rate)
                )
            logits = self._by_torch(images, words)
        return 0.2 * logits + 0.8 * logits.detach() if fault == "small gradients" else logits


@pytest.mark.parametrize("precision", ["bf16", "tf32"])
@pytest.mark.parametrize("fault", ["none", "unscaled dropout", "small gradients", "lost border taps"])
def test_a_trial_finds_what_is_wrong_and_nothing_else(fault: str, precision: Precision) -> None:
    """On a CPU TF32 is float32, so that there the shares alone decide."""
    torch.manual_seed(0)
    tried = Other(Cnn(), [network(seed=seed, shape=SHAPE) for seed in (0, 1)], precision).train()
    tried.fault = fault
    images, labels = torch.rand(2 * 16, *SHAPE), torch.randint(10, (2, 16))
    words = torch.randint(-(2**63), 2**63 - 1, (2, tried.words_for(16, (12, 12))))
    found = disagreement(tried, precision, images, labels, words)
    assert (found is None) == (fault == "none"), found

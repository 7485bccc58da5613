"""Whose kernels compute runs as one."""

import sys
from types import SimpleNamespace

import pytest
import torch

from gauntlet.spec.runs.kinship import Kernels
from gauntlet.spec.runs.training import Precision
from gauntlet.training import fused
from gauntlet.training.fused.choice import computed_by_triton
from tests.gauntlet.examples import CPU, GPU

IMAGES = (32, 3, 32, 32)
AMPERE = (8, 0)


@pytest.fixture(autouse=True)
def without_triton(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not installed, wherever this runs, on a GPU that it would suit."""
    for name in ("kernels", "features"):
        monkeypatch.delattr(fused, name, raising=False)
        monkeypatch.delitem(sys.modules, f"gauntlet.training.fused.{name}", raising=False)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: AMPERE)
    monkeypatch.setitem(sys.modules, "triton", None)


def loads(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on the kernels can be imported, as where they are compiled."""
    for name, module in (("kernels", SimpleNamespace(INTERPRETED=False)), ("features", SimpleNamespace(MOST_FEW=3))):
        monkeypatch.setitem(sys.modules, f"gauntlet.training.fused.{name}", module)
        monkeypatch.setattr(fused, name, module, raising=False)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_on_a_cpu_nothing_is_tried(precision: Precision, caplog: pytest.LogCaptureFixture) -> None:
    """Nor said."""
    assert not computed_by_triton("auto", precision, CPU, IMAGES, set())
    assert not computed_by_triton("torch", precision, CPU, IMAGES, set())
    assert not caplog.records


@pytest.mark.parametrize(
    ("capability", "images", "said"),
    [
        ((7, 5), IMAGES, "the GPU is older than Ampere"),
        (AMPERE, (32, 3, 9, 32), "smaller than the network's windows"),
        (AMPERE, (2**16, 3, 32, 32), "a batch of 65536 such images has more elements"),
        # One less is none too many.
        (AMPERE, (2**16 - 1, 3, 32, 32), "Triton is not installed"),
    ],
)
@pytest.mark.parametrize("kernels", ["auto", "triton", "torch"])
def test_what_hinders_is_said_where_triton_was_asked_for(
    kernels: Kernels,
    capability: tuple[int, int],
    images: tuple[int, int, int, int],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An old GPU, images too small or too many, or no Triton: torch's kernels compute the runs."""
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    assert not computed_by_triton(kernels, "bf16", GPU, images, set())
    assert [said in record.getMessage() for record in caplog.records] == ([True] if kernels == "triton" else [])


@pytest.mark.parametrize("kernels", ["auto", "triton"])
def test_triton_that_is_there_and_does_not_load_is_always_said(
    kernels: Kernels, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """With the error, whichever it is: here a module of ours is gone."""
    monkeypatch.setitem(sys.modules, "gauntlet.training.fused.kernels", None)
    assert not computed_by_triton(kernels, "bf16", GPU, IMAGES, set())
    (record,) = caplog.records
    assert "Triton cannot be loaded" in record.getMessage()
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], ImportError)


def test_each_cause_is_said_once_in_a_job(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """However many programs a job makes; another cause is said, too, and another job says all that it has."""

    def asked(told: set[str]) -> None:
        for capability in (AMPERE, (7, 5), AMPERE):
            monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _, found=capability: found)
            assert not computed_by_triton("triton", "bf16", GPU, IMAGES, told)

    once = ["not installed", "older than Ampere"]
    for told, said in ((first := set[str](), once), (first, once), (set[str](), once * 2)):
        asked(told)
        assert [cause in record.getMessage() for cause, record in zip(said, caplog.records, strict=True)] == [
            True for _ in said
        ]


@pytest.mark.parametrize("kernels", ["auto", "triton"])
def test_a_c_compiler_that_is_missing_is_always_said(
    kernels: Kernels, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Triton launches by a module that it has compiled; the one that `CC` names will do."""
    loads(monkeypatch)
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", "")
    assert not computed_by_triton(kernels, "bf16", GPU, IMAGES, set())
    assert ["no C compiler" in record.getMessage() for record in caplog.records] == [True]
    monkeypatch.setenv("CC", "cc")
    assert computed_by_triton(kernels, "bf16", GPU, IMAGES, set())

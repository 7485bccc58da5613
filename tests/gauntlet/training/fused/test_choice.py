"""Whose kernels compute runs as one."""

import sys

import pytest
import torch

from gauntlet.spec.runs.kinship import Kernels
from gauntlet.spec.runs.training import Precision
from gauntlet.training import fused
from gauntlet.training.fused.choice import computed_by_triton
from tests.gauntlet.examples import CPU, GPU

SHAPE = (3, 32, 32)


@pytest.fixture(autouse=True)
def without_triton(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its kernels cannot be imported, wherever this runs."""
    monkeypatch.delattr(fused, "kernels", raising=False)
    monkeypatch.setitem(sys.modules, "gauntlet.training.fused.kernels", None)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_on_a_cpu_nothing_is_tried(precision: Precision, caplog: pytest.LogCaptureFixture) -> None:
    """Nor said."""
    assert not computed_by_triton("auto", precision, CPU, SHAPE)
    assert not computed_by_triton("torch", precision, CPU, SHAPE)
    assert not caplog.records


@pytest.mark.parametrize(
    ("capability", "said"), [((7, 5), "the GPU is older than Ampere"), ((9, 0), "Triton cannot be loaded")]
)
@pytest.mark.parametrize("kernels", ["auto", "triton", "torch"])
def test_what_hinders_is_said_where_triton_was_asked_for(
    kernels: Kernels,
    capability: tuple[int, int],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An old GPU, or no Triton: torch's kernels compute the runs."""
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    assert not computed_by_triton(kernels, "bf16", GPU, SHAPE)
    assert [said in record.getMessage() for record in caplog.records] == ([True] if kernels == "triton" else [])

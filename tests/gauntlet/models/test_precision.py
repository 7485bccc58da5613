"""What is computed in which precision."""

import pytest
import torch

from gauntlet.data.datasets import Dataset
from gauntlet.errors import PrecisionUnsupported
from gauntlet.models.precision import fp32_products, in_precision
from gauntlet.spec.runs.training import Precision
from gauntlet.training.loop import train
from tests.gauntlet.examples import CPU, events, network, run_spec


def flags() -> tuple[bool, bool]:
    return torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32


def test_bf16_is_a_rounding_of_fp32() -> None:
    """In bf16 the logits are fp32 numbers that differ from fp32's by a few units of bfloat16's eight bits."""
    model, images = network(), torch.rand(20, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    exact, rounded = model(images), in_precision(model, "bf16")(images)
    assert torch.equal(in_precision(model, "fp32")(images), exact)
    assert rounded.dtype == torch.float32
    assert not torch.equal(rounded, exact)
    assert torch.allclose(rounded, exact, atol=2**-6 * exact.abs().max().item())


@pytest.mark.parametrize(("precision", "allowed"), [("fp32", False), ("bf16", False), ("tf32", True)])
def test_fp32_products_are_fp32_unless_tf32_is_asked_for(precision: Precision, *, allowed: bool) -> None:
    """Inside, torch's switches are as the precision says; afterwards they are the caller's again."""
    before = flags()
    with fp32_products(precision):
        assert flags() == (allowed, allowed)
    assert flags() == before


def test_a_run_leaves_the_callers_switches_alone(few: Dataset) -> None:
    """Between events torch's switches are the caller's."""
    before = flags()
    for _ in train(run_spec(), few, device=CPU):
        assert flags() == before


def test_tf32_needs_a_gpu(few: Dataset) -> None:
    """On a CPU a run that asks for it says so before it begins."""
    with pytest.raises(PrecisionUnsupported, match="needs a GPU"):
        events(run_spec(training={"precision": "tf32"}), few)

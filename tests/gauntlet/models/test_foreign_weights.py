"""Weights that another program wrote, hostile ones too."""

import io
import json
import pickle
import struct
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save
from torch import Tensor

from gauntlet.errors import CheckpointInvalid
from gauntlet.models.architectures import build_model, initialise
from gauntlet.models.checkpoints import read_foreign_weights
from gauntlet.spec.kinds import Cnn, ResNet
from tests.gauntlet.examples import network, same_tensors

SHAPE = (1, 16, 16)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "weights.safetensors"


@pytest.fixture(scope="module")
def weights() -> dict[str, Tensor]:
    """The paper's network's, in plain memory order."""
    return {name: tensor.contiguous() for name, tensor in network().state_dict().items()}


def read(file: Path) -> dict[str, Tensor]:
    return read_foreign_weights(file, Cnn(), SHAPE, 10)


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}])
def test_weights_are_read_as_they_are(file: Path, weights: dict[str, Tensor], metadata: dict[str, str] | None) -> None:
    """No header of ours is asked for."""
    file.write_bytes(save(weights, metadata=metadata))
    assert same_tensors(read(file), weights)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floats_become_float32(file: Path, weights: dict[str, Tensor], dtype: torch.dtype) -> None:
    """A file of half or double precision is read at its own precision into float32."""
    other = {name: tensor.to(dtype) for name, tensor in weights.items()}
    file.write_bytes(save(other))
    assert same_tensors(read(file), {name: tensor.float() for name, tensor in other.items()})


def test_the_counters_of_batch_normalisation_may_be_absent(file: Path) -> None:
    """They say nothing about what the network computes; everything else of it must be there."""
    model = build_model(ResNet(), SHAPE, 10)
    initialise(model, 0)
    state = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    without = {name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")}
    file.write_bytes(save(without))
    assert same_tensors(read_foreign_weights(file, ResNet(), SHAPE, 10), state)
    del without["bn1.running_var"]
    file.write_bytes(save(without))
    with pytest.raises(CheckpointInvalid, match=r"'bn1\.running_var' is missing"):
        read_foreign_weights(file, ResNet(), SHAPE, 10)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"more": torch.zeros(1)}, "'more' is unknown"),
        ({"4.bias": torch.zeros(9)}, r"'4\.bias' has the shape \[9\] instead of \[10\]"),
        ({"4.bias": torch.zeros(10, dtype=torch.int64)}, r"'4\.bias' is of the type I64"),
        ({"4.bias": torch.full((10,), torch.nan)}, r"'4\.bias' .* not finite"),
        ({"4.bias": torch.full((10,), torch.inf)}, r"'4\.bias' .* not finite"),
        ({"4.bias": torch.full((10,), 1e300, dtype=torch.float64)}, r"'4\.bias' .* not finite"),
        ({f"{number}": torch.zeros(0) for number in range(5_000)}, "more than 4096"),
    ],
    ids=["unknown", "shape", "type", "nan", "infinite", "overflow", "many"],
)
def test_what_does_not_fit_is_named(
    file: Path, weights: dict[str, Tensor], change: dict[str, Tensor], said: str
) -> None:
    """The sentence tells the tensor and what is wrong with it."""
    file.write_bytes(save(weights | change))
    with pytest.raises(CheckpointInvalid, match=said):
        read(file)


def pickled(value: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("weights", bytes(1_000))
    return buffer.getvalue()


def with_header(header: object) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "too short"),
        (pickled({"a": torch.zeros(2)}), "zip archive, such as torch.save writes"),
        (zipped(), "zip archive"),
        (pickle.dumps({"a": 1}), "is a pickle"),
        (b"<!DOCTYPE html><html></html>", "web page"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "no safetensors file"),
        (struct.pack("<Q", 1 << 40) + bytes(100), "no safetensors file"),
        (struct.pack("<Q", 1 << 20) + bytes(100), "damaged"),
        (with_header([]), "damaged"),
        (with_header({"a": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 1 << 42]}}), "damaged"),
        (with_header({"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}), "damaged"),
        (struct.pack("<Q", 100_000) + b"[" * 100_000, "damaged"),
    ],
    ids=["empty", "torch", "zip", "pickle", "html", "png", "huge", "cut", "list", "claims", "negative", "nested"],
)
def test_what_is_no_safetensors_file_is_refused(file: Path, content: bytes, said: str) -> None:
    """The sentence says what it is where that can be told; nothing is unpickled or allocated for a claim."""
    file.write_bytes(content)
    with pytest.raises(CheckpointInvalid, match=said):
        read(file)


def test_a_truncated_file_is_refused(file: Path, weights: dict[str, Tensor]) -> None:
    """Cut off anywhere, or longer than it says."""
    whole = save(weights)
    for content in (whole[:7], whole[:200], whole[: len(whole) // 2], whole[:-1], whole + b"\0"):
        file.write_bytes(content)
        with pytest.raises(CheckpointInvalid):
            read(file)

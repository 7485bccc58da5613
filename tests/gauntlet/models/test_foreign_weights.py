"""Weights that another program wrote, hostile ones too."""

import importlib.util
import io
import json
import pickle
import re
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save
from torch import Tensor

from gauntlet.errors import CheckpointInvalid
from gauntlet.models.architectures import build_model, initialise
from gauntlet.models.checkpoints import load_weights
from gauntlet.models.foreign_weights import read_foreign_weights
from gauntlet.spec.runs.architectures import Cnn, ResNet
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
    return read_foreign_weights(file, Cnn(), SHAPE, 10).tensors


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
    assert same_tensors(read_foreign_weights(file, ResNet(), SHAPE, 10).tensors, state)
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
        ({"4.bias": torch.full((10,), torch.nan)}, r"not finite, in the tensor '4\.bias'"),
        ({"4.bias": torch.full((10,), torch.inf)}, r"not finite, in the tensor '4\.bias'"),
        ({"4.bias": torch.full((10,), 1e300, dtype=torch.float64)}, r"not finite, in the tensor '4\.bias'"),
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


@pytest.fixture(scope="module")
def residual() -> dict[str, Tensor]:
    """A ResNet-18's with torchvision's names, in plain memory order, for small images of two classes."""
    model = build_model(ResNet(), SHAPE, 2)
    initialise(model, 0)
    return {name: tensor.contiguous() for name, tensor in model.state_dict().items()}


def as_pytorch_cifar(name: str) -> str:
    """torchvision's name as pytorch-cifar has it, written down from its source."""
    return re.sub(r"^fc\.", "linear.", name.replace(".downsample.", ".shortcut."))


@pytest.mark.parametrize("before", ["", "module.", "module._orig_mod.", "model.net."])
@pytest.mark.parametrize("naming", [str, as_pytorch_cifar], ids=["torchvision", "pytorch-cifar"])
def test_the_usual_names_of_a_resnet_are_understood(
    file: Path, residual: dict[str, Tensor], naming: Callable[[str], str], before: str
) -> None:
    """Whatever program trained it, and whatever held it, the same tensors come back under torchvision's names."""
    theirs = {before + naming(name): tensor for name, tensor in residual.items()}
    file.write_bytes(save(theirs))
    assert same_tensors(read_foreign_weights(file, ResNet(), SHAPE, 2).tensors, residual)


def test_a_word_before_all_names_is_understood_of_any_network(file: Path, weights: dict[str, Tensor]) -> None:
    """The paper's too; a word before some of them only is their name."""
    file.write_bytes(save({f"module.{name}": tensor for name, tensor in weights.items()}))
    assert same_tensors(read(file), weights)
    *most, last = weights
    file.write_bytes(save({f"module.{name}": weights[name] for name in most} | {last: weights[last]}))
    with pytest.raises(CheckpointInvalid, match="8 more are missing"):
        read(file)


def test_pytorch_cifars_own_network_is_the_one_that_is_built(file: Path) -> None:
    """The example that comes with AutoAttack has its code: with the same weights it has the same logits."""
    package = importlib.util.find_spec("pyautoattack")
    assert package is not None
    assert package.origin is not None
    source = Path(package.origin).parent / "examples" / "resnet.py"
    found = importlib.util.spec_from_file_location("theirs", source)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    theirs = module.ResNet18().eval()
    initialise(theirs, 3)
    file.write_bytes(save({f"module.{name}": tensor for name, tensor in theirs.state_dict().items()}))
    ours = build_model(ResNet(), (3, 32, 32), 10).eval()
    load_weights(ours, read_foreign_weights(file, ResNet(), (3, 32, 32), 10).tensors)
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(ours(images), theirs(images))


def test_all_that_does_not_fit_is_told_at_once(file: Path, residual: dict[str, Tensor]) -> None:
    """What is missing and what is there instead, by name and by number, and which names would do."""
    theirs = {
        re.sub(r"^fc\.", "head.", re.sub(r"^bn1\.", "norm.", name)): tensor for name, tensor in residual.items()
    } | {"conv1.weight": torch.zeros(64, 1, 7, 7)}
    file.write_bytes(save(theirs))
    with pytest.raises(CheckpointInvalid) as told:
        read_foreign_weights(file, ResNet(), SHAPE, 2)
    message = str(told.value)
    assert "'bn1.weight', 'bn1.bias', 'bn1.running_mean' and 3 more are missing; " in message
    assert "'head.bias', 'head.weight', 'norm.bias' and 4 more are unknown there; " in message
    assert "'conv1.weight' has the shape [64, 1, 7, 7] instead of [64, 1, 3, 3]. " in message
    assert "torchvision's names, or those of pytorch-cifar, TRADES and RobustBench" in message
    assert message.endswith('docs/api.md, "Renaming tensors", shows how to rename others.')


def test_two_names_of_one_tensor_are_refused(file: Path, residual: dict[str, Tensor]) -> None:
    file.write_bytes(save(residual | {"linear.bias": torch.zeros(2)}))
    with pytest.raises(CheckpointInvalid, match=r"both stand for 'fc\.bias'"):
        read_foreign_weights(file, ResNet(), SHAPE, 2)


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

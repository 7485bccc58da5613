"""CIFAR-10 from its files, which are made small here."""

import hashlib
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gauntlet.data.datasets import load_dataset
from gauntlet.errors import DatasetUnavailable
from gauntlet.spec.kinds import Cifar10
from gauntlet.torchvision_ops import declare_missing_operators
from tests.gauntlet.examples import same_images


def _cifar10_class() -> Any:
    declare_missing_operators()
    from torchvision.datasets import CIFAR10

    return CIFAR10


@pytest.fixture
def cifar10(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """CIFAR-10's files in their layout with few images each; their checksums take the real ones' place."""
    archive, folder = _cifar10_class(), tmp_path / "torchvision" / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)

    def write(name: str, content: dict[str, object]) -> list[str]:
        data = pickle.dumps(content)
        (folder / name).write_bytes(data)
        return [name, hashlib.md5(data, usedforsecurity=False).hexdigest()]

    def batch(name: str, first: int) -> list[str]:
        pixels = rng.integers(0, 256, (4, 3072), dtype=np.uint8)
        pixels[:, 0] = range(first, first + 4)  # the red level of the top left pixel numbers the image
        return write(name, {"data": pixels, "labels": [number % 10 for number in range(first, first + 4)]})

    train = [batch(f"data_batch_{number}", 4 * number - 4) for number in range(1, 6)]
    test = [batch("test_batch", 100)]
    meta = write("batches.meta", {"label_names": list("abcdefghij")})
    monkeypatch.setattr(archive, "train_list", train)
    monkeypatch.setattr(archive, "test_list", test)
    monkeypatch.setattr(archive, "meta", {"filename": meta[0], "key": "label_names", "md5": meta[1]})
    return tmp_path


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """The archive's address leads to a closed port of this machine."""
    monkeypatch.setattr(_cifar10_class(), "url", "http://127.0.0.1:9/cifar-10-python.tar.gz")
    monkeypatch.setenv("no_proxy", "*")


@pytest.mark.usefixtures("no_network")
def test_cifar10_is_read_from_its_files(cifar10: Path) -> None:
    """All training files and the test file are read, pixels with their labels, channels first."""
    data = load_dataset(Cifar10(), cifar10)
    assert data.classes == tuple("abcdefghij")
    assert data.image_shape == (3, 32, 32)
    numbers = data.train.images[:, 0, 0, 0].tolist()
    assert sorted(numbers) == list(range(20))
    assert [number % 10 for number in numbers] == data.train.labels.tolist()
    assert data.test.images[:, 0, 0, 0].tolist() == [100, 101, 102, 103]
    raw = pickle.loads((cifar10 / "torchvision/cifar-10-batches-py/test_batch").read_bytes())  # written by this test
    assert np.array_equal(data.test.images.numpy().reshape(4, 3072), raw["data"])


@pytest.mark.usefixtures("no_network")
def test_cifar10_that_is_there_is_only_read(cifar10: Path) -> None:
    """Nothing is written beside the files: their folder may be mounted read-only."""
    before = sorted(cifar10.rglob("*"))
    load_dataset(Cifar10(), cifar10)
    assert sorted(cifar10.rglob("*")) == before


@pytest.mark.usefixtures("no_network")
def test_a_cifar10_subset_is_fixed(cifar10: Path) -> None:
    """`train_samples` draws the same images every time, not the first ones."""
    subset = load_dataset(Cifar10(train_samples=8), cifar10).train
    assert same_images(subset, load_dataset(Cifar10(train_samples=8), cifar10).train)
    assert subset.images[:, 0, 0, 0].tolist() != list(range(8))
    assert [number % 10 for number in subset.images[:, 0, 0, 0].tolist()] == subset.labels.tolist()


@pytest.mark.usefixtures("no_network")
def test_cifar10_that_cannot_be_fetched_is_unavailable(tmp_path: Path) -> None:
    """Without files and without a network the error says where to put them."""
    with pytest.raises(DatasetUnavailable, match="cifar-10-batches-py") as caught:
        load_dataset(Cifar10(), tmp_path)
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("name", ["data_batch_3", "test_batch"])
def test_damaged_cifar10_is_unavailable(cifar10: Path, name: str) -> None:
    """A file that fails its checksum is not read."""
    file = cifar10 / "torchvision" / "cifar-10-batches-py" / name
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(DatasetUnavailable, match="CIFAR-10"):
        load_dataset(Cifar10(), cifar10)

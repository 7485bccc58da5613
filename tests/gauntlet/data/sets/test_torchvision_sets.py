"""CIFAR-100, SVHN, MNIST and its likes from files in their real formats, which are made small here."""

import gzip
import hashlib
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from gauntlet.data.datasets import describe_dataset, load_dataset
from gauntlet.data.decoded.single_images import read_test_image
from gauntlet.data.sets.published import TORCHVISION, published
from gauntlet.data.survey import survey
from gauntlet.errors import DatasetUnavailable
from gauntlet.events import EpochFinished
from gauntlet.spec.class_names import KNOWN_CLASSES
from gauntlet.spec.kinds import Cifar10, Cifar100, FashionMnist, Kmnist, Mnist, PublishedDataset, Svhn
from gauntlet.torchvision_ops import declare_missing_operators
from tests.gauntlet.examples import NOWHERE, events, run_spec

SETS = (Cifar10(), Cifar100(), Svhn(), Mnist(), FashionMnist(), Kmnist())
TRAIN, TEST = 12, 4


def class_of(name: str) -> Any:
    declare_missing_operators()
    from torchvision import datasets

    return getattr(datasets, name)


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def drawn(count: int, *shape: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(count).integers(0, 256, (count, *shape), dtype=np.uint8)


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every address leads to a closed port of this machine."""
    for variable in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    monkeypatch.setattr(class_of("CIFAR100"), "url", "http://127.0.0.1:9/cifar-100-python.tar.gz")
    for name in ("MNIST", "FashionMNIST", "KMNIST"):
        monkeypatch.setattr(class_of(name), "mirrors", ["http://127.0.0.1:9/"])
    svhn = class_of("SVHN")
    closed = {split: ["http://127.0.0.1:9/", *rest] for split, (_, *rest) in svhn.split_list.items()}
    monkeypatch.setattr(svhn, "split_list", closed)


@pytest.fixture
def cifar100(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Pickles with coarse and fine labels; their checksums take the real ones' place."""
    folder, made = tmp_path / TORCHVISION / "cifar-100-python", class_of("CIFAR100")
    folder.mkdir(parents=True)

    def write(name: str, content: dict[str, object]) -> list[str]:
        data = pickle.dumps(content)
        (folder / name).write_bytes(data)
        return [name, md5(data)]

    for listed, name, count in (("train_list", "train", TRAIN), ("test_list", "test", TEST)):
        fine = [(7 * number) % 100 for number in range(count)]
        content = {"data": drawn(count, 3072), "fine_labels": fine, "coarse_labels": [0] * count}
        monkeypatch.setattr(made, listed, [write(name, content)])
    meta = write("meta", {"fine_label_names": list(KNOWN_CLASSES["cifar100"]), "coarse_label_names": ["all"]})
    monkeypatch.setattr(made, "meta", {"filename": meta[0], "key": "fine_label_names", "md5": meta[1]})
    return tmp_path


@pytest.fixture
def svhn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """MATLAB files, images last, in which the digit 0 is labelled 10."""
    made, root = class_of("SVHN"), tmp_path / TORCHVISION
    root.mkdir()
    lists = {}
    for split, count in (("train", TRAIN), ("test", TEST)):
        file = root / f"{split}_32x32.mat"
        labels = np.array([[number % 10 or 10] for number in range(count)], dtype=np.uint8)
        savemat(file, {"X": drawn(count, 3, 32, 32).transpose(2, 3, 1, 0), "y": labels})
        lists[split] = ["http://127.0.0.1:9/", file.name, md5(file.read_bytes())]
    monkeypatch.setattr(made, "split_list", lists)
    return tmp_path


def write_idx(folder: Path) -> None:
    """The four files: a magic number, the dimensions and the bytes."""
    folder.mkdir(parents=True)
    for part, count in (("train", TRAIN), ("t10k", TEST)):
        head = struct.pack(">4I", 0x803, count, 28, 28)
        (folder / f"{part}-images-idx3-ubyte").write_bytes(head + drawn(count, 28, 28).tobytes())
        labels = bytes(number % 10 for number in range(count))
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">2I", 0x801, count) + labels)


@pytest.fixture
def mnist(tmp_path: Path) -> Path:
    write_idx(tmp_path / TORCHVISION / "MNIST/raw")
    return tmp_path


@pytest.mark.parametrize("spec", SETS, ids=lambda spec: spec.name)
def test_each_is_known_without_its_files(spec: PublishedDataset) -> None:
    """Its classes and their images as published, and where it comes from; without it the error says where it goes."""
    found = survey(spec, NOWHERE)
    assert found is not None
    assert found.train is not None
    assert found.test is not None
    assert found.train.names == found.test.names == KNOWN_CLASSES[spec.name]
    assert published(spec).source in found.notes[0]
    assert describe_dataset(spec, NOWHERE) == found
    counts = {"cifar10": (50_000, 10_000), "cifar100": (50_000, 10_000), "svhn": (73_257, 26_032)}
    assert (found.train.images, found.test.images) == counts.get(spec.name, (60_000, 10_000))


@pytest.mark.parametrize("spec", SETS[1:], ids=lambda spec: spec.name)
def test_what_is_not_there_is_told_with_its_place(spec: PublishedDataset, tmp_path: Path) -> None:
    with pytest.raises(DatasetUnavailable) as caught:
        load_dataset(spec, tmp_path)
    told = str(caught.value)
    assert published(spec).place in told
    assert published(spec).source in told
    assert str(tmp_path) not in told


def test_cifar100_has_fine_classes(cifar100: Path) -> None:
    data = load_dataset(Cifar100(), cifar100)
    assert data.classes == KNOWN_CLASSES["cifar100"]
    assert data.train.labels.tolist() == [0, 7, 14, 21, 28, 35, 42, 49, 56, 63, 70, 77]
    assert np.array_equal(data.test.images.numpy().reshape(TEST, -1), drawn(TEST, 3072))
    (cifar100 / TORCHVISION / "cifar-100-python/test").write_bytes(pickle.dumps({"data": []}))
    with pytest.raises(DatasetUnavailable, match="CIFAR-100 is not whole"):
        load_dataset(Cifar100(), cifar100)


def test_svhn_takes_ten_for_zero(svhn: Path) -> None:
    data = load_dataset(Svhn(), svhn)
    assert data.classes == tuple("0123456789")
    assert data.train.labels.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]
    assert np.array_equal(data.train.images.numpy(), drawn(TRAIN, 3, 32, 32))
    (svhn / TORCHVISION / "train_32x32.mat").write_bytes(b"MATLAB")
    with pytest.raises(DatasetUnavailable, match="SVHN is not whole"):
        load_dataset(Svhn(), svhn)


def test_mnist_is_grey(mnist: Path) -> None:
    data = load_dataset(Mnist(), mnist)
    assert data.image_shape == Mnist().image_shape == (1, 28, 28)
    assert np.array_equal(data.train.images[:, 0].numpy(), drawn(TRAIN, 28, 28))
    assert data.test.labels.tolist() == [0, 1, 2, 3]
    assert describe_dataset(Mnist(), mnist).notes == (
        "There are 12 training images of MNIST here; 60,000 are published.",
        "There are 4 test images of MNIST here; 10,000 are published.",
    )
    image = read_test_image(Mnist(), 2, mnist)
    assert image is not None
    assert image.label == "2"
    assert np.array_equal(image.pixels[0], drawn(TEST, 28, 28)[2])
    assert read_test_image(Mnist(), TEST, mnist) is None


def test_kmnist_is_read_as_mnist_is(tmp_path: Path) -> None:
    """From a folder of its own, with its letters for classes, as the service's own too."""
    write_idx(tmp_path / TORCHVISION / "KMNIST/raw")
    data = load_dataset(Kmnist(), tmp_path)
    assert data.classes == ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")
    assert np.array_equal(data.train.images[:, 0].numpy(), drawn(TRAIN, 28, 28))
    image = read_test_image(Kmnist(), 3, tmp_path)
    assert image is not None
    assert image.label == "tsu"


def test_the_papers_network_trains_on_mnist(mnist: Path) -> None:
    """One channel, and a side that its pooling halves twice."""
    found = events(
        run_spec(dataset={"name": "mnist"}, training={"epochs": 1, "batch_size": 8}), load_dataset(Mnist(), mnist)
    )
    assert [event.metrics["train_accuracy_n"] for event in found if isinstance(event, EpochFinished)] == [TEST]


def test_fetched_archives_are_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FashionMNIST as its four gzip files came: each is held against its checksum, unpacked, and then only read."""
    folder, resources = tmp_path / TORCHVISION / "FashionMNIST/raw", []
    write_idx(folder)
    for file in sorted(folder.iterdir()):
        packed = gzip.compress(file.read_bytes(), mtime=0)
        file.unlink()
        (folder / f"{file.name}.gz").write_bytes(packed)
        resources.append((f"{file.name}.gz", md5(packed)))
    monkeypatch.setattr(class_of("FashionMNIST"), "resources", resources)
    data = load_dataset(FashionMnist(), tmp_path)
    assert data.classes[9] == "Ankle boot"
    assert np.array_equal(data.train.images[:, 0].numpy(), drawn(TRAIN, 28, 28))
    before = sorted(tmp_path.rglob("*"))
    load_dataset(FashionMnist(), tmp_path)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t10k-images-idx3-ubyte", struct.pack(">4I", 0x803, 5, 28, 28) + bytes(4 * 784)),  # cut off
        ("t10k-images-idx3-ubyte", struct.pack(">4I", 0x803, 4, 27, 28) + bytes(4 * 756)),  # of another size
        ("t10k-images-idx3-ubyte", b"<html>"),
        ("t10k-images-idx3-ubyte", b""),
        ("t10k-labels-idx1-ubyte", struct.pack(">2I", 0x801, 3) + bytes(3)),  # one too few
        ("t10k-labels-idx1-ubyte", struct.pack(">2I", 0x801, 4) + b"\0\1\2\x0a"),  # no digit
    ],
    ids=["cut off", "of another size", "a page", "empty", "too few labels", "no class"],
)
def test_damaged_idx_files_are_unavailable(mnist: Path, name: str, content: bytes) -> None:
    (mnist / TORCHVISION / "MNIST/raw" / name).write_bytes(content)
    with pytest.raises(DatasetUnavailable, match="MNIST is not whole"):
        load_dataset(Mnist(), mnist)

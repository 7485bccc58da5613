"""Data sets that everybody has, as torchvision reads and fetches them."""

import fcntl
from pathlib import Path
from typing import Any, assert_never

import numpy as np

from gauntlet.data.sets.archives import Archive
from gauntlet.data.sets.published import TORCHVISION, published
from gauntlet.errors import DatasetUnavailable
from gauntlet.spec.class_names import KNOWN_CLASSES
from gauntlet.spec.kinds import Cifar10, Cifar100, FashionMnist, Kmnist, Mnist, PublishedDataset, Split, Svhn
from gauntlet.torchvision_ops import declare_missing_operators

# What torchvision raises where files are missing or damaged: an IDX file's header, for one, is asserted.
_DAMAGED = (OSError, RuntimeError, ValueError, TypeError, LookupError, AssertionError)


def read_published(spec: PublishedDataset, split: Split, data_root: Path, *, fetch: bool = True) -> Archive:
    """One split, fetched where it is not there.

    torchvision holds CIFAR's and SVHN's files against their checksums each time, before it reads them; those of
    MNIST and its likes when it unpacks what it fetched. That images and labels fit together is looked at here.

    Raises:
        DatasetUnavailable: it is not there, or damaged, and cannot be fetched or must not be.
    """
    declare_missing_operators()
    root, known = data_root / TORCHVISION, published(spec)
    try:
        archive = _found_or_fetched(spec, split, root, fetch=fetch)
        _require_fitting(spec, archive)
    except _DAMAGED as error:
        raise DatasetUnavailable(
            f"{known.title} is not whole in {TORCHVISION} below the data root, and was not fetched ({_why(error)}). "
            f"Put {known.place} there, from {known.source}; or use an image_folder data set."
        ) from error
    return archive


def _found_or_fetched(spec: PublishedDataset, split: Split, root: Path, *, fetch: bool) -> Archive:
    try:
        # What is there is only read: the folder may be mounted read-only.
        return _read(spec, split, root, download=False)
    except _DAMAGED:
        if not fetch:
            raise
    root.mkdir(parents=True, exist_ok=True)
    # Runs that start together must not fetch into the same file.
    with (root / f"{spec.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _read(spec, split, root, download=True)


def _read(spec: PublishedDataset, split: Split, root: Path, *, download: bool) -> Archive:
    from torchvision import datasets

    train = split == "train"
    match spec:
        case Cifar10():
            return _of_cifar(datasets.CIFAR10(root, train=train, download=download))
        case Cifar100():
            return _of_cifar(datasets.CIFAR100(root, train=train, download=download))
        case Svhn():
            found = datasets.SVHN(root, split=split, download=download)
            # A single label comes as a number.
            return Archive(np.ascontiguousarray(found.data), found.labels.reshape(-1), KNOWN_CLASSES[spec.name])
        case Mnist():
            return _of_idx(datasets.MNIST(root, train=train, download=download), KNOWN_CLASSES[spec.name])
        case FashionMnist():
            return _of_idx(datasets.FashionMNIST(root, train=train, download=download), KNOWN_CLASSES[spec.name])
        case Kmnist():
            return _of_idx(datasets.KMNIST(root, train=train, download=download), KNOWN_CLASSES[spec.name])
        case _:
            assert_never(spec)


def _of_cifar(found: Any) -> Archive:
    pixels = np.ascontiguousarray(found.data.transpose(0, 3, 1, 2))
    return Archive(pixels, np.asarray(found.targets, dtype=np.int64), tuple(found.classes))


def _of_idx(found: Any, classes: tuple[str, ...]) -> Archive:
    return Archive(found.data.numpy()[:, None], found.targets.numpy(), classes)


def _require_fitting(spec: PublishedDataset, archive: Archive) -> None:
    images, labels = archive.images, archive.labels
    if images.shape[1:] != spec.image_shape:
        raise ValueError(f"its images are of shape {list(images.shape[1:])}, not {list(spec.image_shape)}")
    if labels.shape != images.shape[:1]:
        raise ValueError(f"it has {len(images)} images and {len(labels)} labels")
    if len(labels) and not 0 <= labels.min() <= labels.max() < len(archive.classes):
        raise ValueError(f"its labels are {labels.min()} to {labels.max()}, of {len(archive.classes)} classes")


def _why(error: Exception) -> object:
    """What kept the data set away. A file's error has a path of the machine in its own text."""
    told = getattr(error, "reason", None) or (isinstance(error, OSError) and error.strerror) or str(error)
    return told or "a file of it is damaged"

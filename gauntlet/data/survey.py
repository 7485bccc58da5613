"""What can be said of a data set without reading its pictures: quick, and without torch."""

import threading
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import assert_never

import numpy as np
import numpy.typing as npt

from gauntlet.checks.description import ClassImages, DatasetDescription, SplitDescription
from gauntlet.data.sets.archives import read_digits
from gauntlet.data.sets.cifar10_c import is_there, missing
from gauntlet.data.sets.published import published
from gauntlet.data.sets.walk import TooManyEntries
from gauntlet.data.sources import list_pictures
from gauntlet.spec.class_names import KNOWN_CLASSES
from gauntlet.spec.kinds import (
    SPLITS,
    Cifar10,
    Cifar10C,
    Cifar100,
    DatasetSpec,
    Digits,
    FashionMnist,
    ImageFolder,
    Kmnist,
    Mnist,
    Parquet,
    PublishedDataset,
    Split,
    Svhn,
    Uploaded,
    dataset_title,
)


def survey(
    spec: DatasetSpec, data_root: Path, splits: Sequence[Split] = SPLITS, *, most_entries: int | None = None
) -> DatasetDescription | None:
    """The data set as it lies there, its pictures counted and not read.

    An uploaded one lies below the service's storage, which is then the root; every other below the data root.

    None where that cannot be said: an image folder whose data root is not on this machine, or which has more than
    `most_entries` files.
    """
    match spec:
        case Digits():
            found = {split: _digits(split) for split in splits}
            return DatasetDescription(dataset=dataset_title(spec), train=found.get("train"), test=found.get("test"))
        case Cifar10() | Cifar100() | Svhn() | Mnist() | FashionMnist() | Kmnist():
            return survey_published(spec, data_root, splits)
        case Cifar10C():
            return survey_cifar10_c(spec, data_root, splits)
        case ImageFolder() | Parquet():
            return _survey_folder(spec, data_root, splits, most_entries)
        case Uploaded():
            return list_pictures(spec, data_root, splits).describe(dataset_title(spec))
        case _:
            assert_never(spec)


def survey_published(spec: PublishedDataset, data_root: Path, splits: Sequence[Split] = SPLITS) -> DatasetDescription:
    """One that torchvision reads as it is everywhere, and whether it is there."""
    known, classes = published(spec), KNOWN_CLASSES[spec.name]
    counts = {split: _counted(classes, known.images[split]) for split in splits}
    notes = () if known.is_there(data_root) else (known.to_be_fetched,)
    return DatasetDescription(
        dataset=dataset_title(spec), train=counts.get("train"), test=counts.get("test"), notes=notes
    )


def survey_cifar10_c(spec: Cifar10C, data_root: Path, splits: Sequence[Split] = SPLITS) -> DatasetDescription:
    """CIFAR-10 with other test images, which must be there."""
    title = dataset_title(spec)
    if "test" in splits and not is_there(spec, data_root):
        return DatasetDescription(dataset=title, faults=(missing(spec),))
    plain = survey_published(Cifar10(), data_root, splits)
    return plain.model_copy(update={"dataset": title} if "train" in splits else {"dataset": title, "notes": ()})


# NumPy reads the head of an archive as Python, which some versions of that cannot do in two threads at once: of many
# requests, one failed.
_READING = threading.Lock()


@cache
def _digits(split: Split) -> SplitDescription:
    with _READING:
        archive = read_digits(split)
    return count_classes(archive.labels, archive.classes)


def count_classes(labels: npt.NDArray[np.int64], classes: Sequence[str]) -> SplitDescription:
    """A split of arrays: how many of the labels (int64 [n]) are of each class."""
    return _counted(classes, np.bincount(labels, minlength=len(classes)).tolist())


def _counted(classes: Sequence[str], images: Sequence[int]) -> SplitDescription:
    pairs = zip(classes, images, strict=True)
    return SplitDescription(classes=tuple(ClassImages(name=name, images=count) for name, count in pairs))


def _survey_folder(
    spec: ImageFolder | Parquet, data_root: Path, splits: Sequence[Split], most_entries: int | None
) -> DatasetDescription | None:
    if not data_root.is_dir():
        return None
    try:
        listing = list_pictures(spec, data_root, splits, most_entries=most_entries)
    except TooManyEntries:
        return None
    return listing.describe(dataset_title(spec))

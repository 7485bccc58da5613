"""What can be said of a data set without reading its pictures: quick, and without torch."""

from collections.abc import Sequence
from pathlib import Path
from typing import assert_never

import numpy as np
import numpy.typing as npt

from gauntlet.checks.description import ClassImages, DatasetDescription, SplitDescription
from gauntlet.data.archives import cifar10_is_there, read_digits
from gauntlet.data.folders import list_folder, list_uploaded
from gauntlet.data.walk import TooManyEntries
from gauntlet.spec.checkpoint_card import KNOWN_CLASSES
from gauntlet.spec.kinds import SPLITS, Cifar10, DatasetSpec, Digits, ImageFolder, Split, Uploaded, dataset_title

_CIFAR10_PER_CLASS: dict[Split, int] = {"train": 5_000, "test": 1_000}
_TO_BE_FETCHED = "CIFAR-10 is not below the data root yet: the first run fetches it (170 MB) where the network allows."


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
            archives = {split: read_digits(split) for split in splits}
            found = {split: count_classes(each.labels, each.classes) for split, each in archives.items()}
            return DatasetDescription(dataset=dataset_title(spec), train=found.get("train"), test=found.get("test"))
        case Cifar10():
            return survey_cifar10(data_root, splits)
        case ImageFolder():
            return _survey_folder(spec, data_root, splits, most_entries)
        case Uploaded():
            return list_uploaded(data_root, spec.id, splits).describe(dataset_title(spec))
        case _:
            assert_never(spec)


def survey_cifar10(data_root: Path, splits: Sequence[Split] = SPLITS) -> DatasetDescription:
    """CIFAR-10 as it is everywhere, and whether it is there."""
    classes = KNOWN_CLASSES["cifar10"]
    counts = {split: _cifar10_split(split, classes) for split in splits}
    notes = () if cifar10_is_there(data_root) else (_TO_BE_FETCHED,)
    return DatasetDescription(dataset="cifar10", train=counts.get("train"), test=counts.get("test"), notes=notes)


def count_classes(labels: npt.NDArray[np.int64], classes: Sequence[str]) -> SplitDescription:
    """A split of arrays: how many of the labels (int64 [n]) are of each class."""
    images = np.bincount(labels, minlength=len(classes)).tolist()
    pairs = zip(classes, images, strict=True)
    return SplitDescription(classes=tuple(ClassImages(name=name, images=count) for name, count in pairs))


def _cifar10_split(split: Split, classes: Sequence[str]) -> SplitDescription:
    images = _CIFAR10_PER_CLASS[split]
    return SplitDescription(classes=tuple(ClassImages(name=name, images=images) for name in classes))


def _survey_folder(
    spec: ImageFolder, data_root: Path, splits: Sequence[Split], most_entries: int | None
) -> DatasetDescription | None:
    if not data_root.is_dir():
        return None
    try:
        listing = list_folder(data_root, spec.folder, splits, most_entries=most_entries)
    except TooManyEntries:
        return None
    return listing.describe(dataset_title(spec))

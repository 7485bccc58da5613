"""Image data sets as tensors: read once, kept as the 8-bit values they are, and never in class order.

Those whose pictures are larger than memory should hold are decoded once and mapped from the disk.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import assert_never

import numpy as np
import torch
from torch import Tensor

from gauntlet.checks.description import DatasetDescription
from gauntlet.checks.requests import none_left, too_many_asked_for
from gauntlet.data.decoded.decoded_cache import DecodedCache
from gauntlet.data.decoded.decoding import Pixels, Watch, decode, key_of
from gauntlet.data.image_sets import ImageSet, MappedSet, TrainingImages, as_tensor, to_unit
from gauntlet.data.order import shuffled_order
from gauntlet.data.own_images import refuse_labels_beyond
from gauntlet.data.reading import SeenSplit, Tally, describe_seen
from gauntlet.data.sets.archives import Archive, read_digits
from gauntlet.data.sets.cifar10_c import is_there, read_cifar10_c
from gauntlet.data.sets.folders import FolderListing
from gauntlet.data.sets.published import published
from gauntlet.data.sets.torchvision_sets import read_published
from gauntlet.data.sources import PictureSplit, list_pictures
from gauntlet.data.survey import count_classes, survey_cifar10_c, survey_published
from gauntlet.errors import DatasetUnavailable, ImagesInvalid
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
    OwnPictures,
    Parquet,
    PublishedDataset,
    Split,
    Svhn,
    Uploaded,
    dataset_title,
)

_HASHED_AT_ONCE = 1_000

# What others use of this module; the sets themselves are in one of their own.
__all__ = [
    "Dataset",
    "ImageSet",
    "MappedSet",
    "TrainingImages",
    "Watch",
    "describe_dataset",
    "digest",
    "hold_out",
    "load_dataset",
    "load_split",
    "read_dataset",
    "read_split",
    "to_unit",
]


def _unwatched(_read: int, _total: int) -> None:
    pass


@dataclass(frozen=True)
class Dataset:
    """A training and a test set over the same classes; a label is an index into `classes`.

    Where training images are a `MappedSet`, the test images' tensor is mapped from the disk too.

    Raises:
        ImagesInvalid: a label has no class, or the images of the two are of different shapes.
    """

    train: TrainingImages
    test: ImageSet
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        for images in (self.train, self.test):
            refuse_labels_beyond(images.labels, len(self.classes))
        shapes = [list(images.image_shape) for images in (self.train, self.test)]
        if shapes[0] != shapes[1]:
            raise ImagesInvalid(f"Training images are of shape {shapes[0]} and test images of {shapes[1]}.")

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of every image."""
        return self.train.image_shape


def load_dataset(spec: DatasetSpec, data_root: str | PathLike[str]) -> Dataset:
    """Read the data set that `spec` names; image folders and torchvision's archives lie below `data_root`.

    Both sets hold uint8 pixels [n, channels, height, width] and int64 labels [n], which index `classes`.

    An uploaded data set lies below the service's storage: that is its `data_root`, here and in the functions below.

    Raises:
        DatasetUnavailable: it is missing, empty or damaged there, or smaller than `spec.train_samples`.
    """
    return read_dataset(spec, Path(data_root))[0]


def read_dataset(
    spec: DatasetSpec, data_root: Path, watch: Watch = _unwatched, *, cache: DecodedCache | None = None
) -> tuple[Dataset, DatasetDescription]:
    """The same, and what was seen on the way. Pictures that the cache takes stay on the disk, and are the same images.

    Raises:
        DatasetUnavailable: as `load_dataset` says.
    """
    found = _read(spec, SPLITS, data_root, watch, cache)
    train, test = found.sets["train"], found.sets["test"]
    return Dataset(MappedSet.whole(train) if found.mapped else train, test, found.classes), found.description


def load_split(
    spec: DatasetSpec, split: Split, data_root: str | PathLike[str], watch: Watch = _unwatched
) -> tuple[ImageSet, tuple[str, ...]]:
    """One of a data set's two sets, and its classes. `spec.train_samples` draws a fixed subset of the training set.

    Raises:
        DatasetUnavailable: as `load_dataset` says, of this one set; or there is none of that name.
    """
    images, classes, _ = read_split(spec, split, Path(data_root), watch)
    return images, classes


def read_split(
    spec: DatasetSpec, split: Split, data_root: Path, watch: Watch = _unwatched, *, cache: DecodedCache | None = None
) -> tuple[ImageSet, tuple[str, ...], DatasetDescription]:
    """The same, and what was seen on the way. The tensor of pictures that the cache takes is mapped from the disk.

    Raises:
        DatasetUnavailable: as `load_split` says.
    """
    if split not in SPLITS:
        raise DatasetUnavailable(f"There is no split {split!r}: it is {' or '.join(SPLITS)}.")
    found = _read(spec, (split,), data_root, watch, cache)
    return found.sets[split], found.classes, found.description


def describe_dataset(spec: DatasetSpec, data_root: Path) -> DatasetDescription:
    """All that reading the data set shows, with every fault, and nothing kept or fetched.

    It reads what a run would read: of a training set no more than `spec.train_samples`.
    """
    match spec:
        case Digits():
            return _of_archives(spec, {split: read_digits(split) for split in SPLITS}).description
        case Cifar10() | Cifar100() | Svhn() | Mnist() | FashionMnist() | Kmnist():
            if not published(spec).is_there(data_root):
                return survey_published(spec, data_root)
            return _described_archives(spec, lambda split: read_published(spec, split, data_root, fetch=False))
        case Cifar10C():
            if not published(Cifar10()).is_there(data_root) or not is_there(spec, data_root):
                return survey_cifar10_c(spec, data_root)
            return _described_archives(spec, lambda split: _cifar10_c(spec, split, data_root, fetch=False))
        case ImageFolder() | Uploaded() | Parquet():
            listing = list_pictures(spec, data_root)
            return _described(spec, listing, decode(spec, listing, _orders(spec, listing), None, _unwatched))
        case _:
            assert_never(spec)


def digest(images: ImageSet, classes: Sequence[str]) -> str:
    """sha256 over a set's pixels, labels and class names in their order: equal for equal test sets only."""
    sha256 = hashlib.sha256(json.dumps([list(images.images.shape), list(classes)]).encode())
    for tensor in (images.images, images.labels):
        # Piece by piece, for the images may be mapped from the disk.
        for piece in tensor.split(_HASHED_AT_ONCE):
            sha256.update(piece.cpu().contiguous().numpy().tobytes())
    return sha256.hexdigest()


def hold_out(data: Dataset, count: int) -> tuple[Dataset, TrainingImages]:
    """Take `count` images out of the training set; the data set without them, and they.

    Which ones depends on `count` and the number of training images alone. Both sets come out shuffled, so every prefix
    is a fair sample; where `count` is 0, the data set is as it was.

    Raises:
        DatasetUnavailable: no image would be left to train on.
    """
    if count == 0:
        return data, data.train.take(0)
    if message := none_left(count, len(data.train)):
        raise DatasetUnavailable(message)
    order = shuffled_order(len(data.train))
    return replace(data, train=data.train.at(order[count:])), data.train.at(order[:count])


@dataclass(frozen=True)
class _Found:
    """What was read: one set for each split, over the same classes."""

    sets: Mapping[Split, ImageSet]
    classes: tuple[str, ...]
    description: DatasetDescription
    mapped: bool = False


def _read(
    spec: DatasetSpec, splits: Sequence[Split], data_root: Path, watch: Watch, cache: DecodedCache | None
) -> _Found:
    """Raises DatasetUnavailable with all that is at fault; of a folder that lacks something no picture is read."""
    match spec:
        case Digits():
            found = _of_archives(spec, {split: read_digits(split) for split in splits})
        case Cifar10() | Cifar100() | Svhn() | Mnist() | FashionMnist() | Kmnist():
            found = _of_archives(spec, {split: read_published(spec, split, data_root) for split in splits})
        case Cifar10C():
            found = _of_archives(spec, {split: _cifar10_c(spec, split, data_root) for split in splits})
        case ImageFolder() | Uploaded() | Parquet():
            listing = list_pictures(spec, data_root, splits)
            _refuse(spec, listing.describe(dataset_title(spec)))
            found = _of_pictures(spec, listing, watch, cache)
        case _:
            assert_never(spec)
    _refuse(spec, found.description)
    return found


def _described_archives(spec: PublishedDataset | Cifar10C, read: Callable[[Split], Archive]) -> DatasetDescription:
    try:
        archives = {split: read(split) for split in SPLITS}
    except DatasetUnavailable as error:
        return DatasetDescription(dataset=dataset_title(spec), faults=(str(error),))
    return _of_archives(spec, archives).description


def _cifar10_c(spec: Cifar10C, split: Split, data_root: Path, *, fetch: bool = True) -> Archive:
    if split == "train":
        return read_published(Cifar10(), split, data_root, fetch=fetch)
    return read_cifar10_c(spec, data_root)


def _refuse(spec: DatasetSpec, found: DatasetDescription) -> None:
    too_many = None if found.train is None else too_many_asked_for(spec.train_samples, found.train.images)
    if faults := [*found.faults, *([too_many] if too_many else [])]:
        raise DatasetUnavailable(" ".join(faults))


def _of_archives(spec: Digits | PublishedDataset | Cifar10C, archives: Mapping[Split, Archive]) -> _Found:
    sets: dict[Split, ImageSet] = {}
    seen: dict[Split, SeenSplit] = {}
    for split, archive in archives.items():
        tally = Tally()
        chosen = _drawn(len(archive.labels), spec, split)
        for position in range(len(archive.labels)) if chosen is None else chosen.tolist():
            tally.add(f"{split} image {position}", archive.images[position].data)
        whole = ImageSet(torch.from_numpy(archive.images), torch.from_numpy(archive.labels))
        sets[split] = whole if chosen is None else whole.at(chosen)
        seen[split] = SeenSplit(count_classes(archive.labels, archive.classes), tally)
    (classes, *_) = (archive.classes for archive in archives.values())
    numbers = {split: len(archive.labels) for split, archive in archives.items()}
    notes = () if isinstance(spec, Digits | Cifar10C) else published(spec).other_numbers(numbers)
    return _Found(sets, classes, describe_seen(dataset_title(spec), seen, notes=notes))


def _of_pictures(
    spec: OwnPictures, listing: FolderListing[PictureSplit], watch: Watch, cache: DecodedCache | None
) -> _Found:
    """The pictures of the splits that are there, of which nothing else was at fault."""
    orders = _orders(spec, listing)
    shapes = {split: (len(order), *spec.image_shape) for split, order in orders.items()}

    def make(into: Mapping[Split, Pixels]) -> DatasetDescription:
        described = _described(spec, listing, decode(spec, listing, orders, into, watch))
        _refuse(spec, described)
        return described

    mapped = cache is not None and cache.takes(shapes)
    if cache is not None and mapped:
        total = sum(map(len, orders.values()))
        decoded = cache.pixels(key_of(spec, listing, orders), shapes, make, lambda: watch(0, total))
        pixels: Mapping[Split, Pixels] = decoded.pixels
        description = _read_before(decoded.description, listing.describe(dataset_title(spec)))
    else:
        pixels = {split: np.empty(shape, dtype=np.uint8) for split, shape in shapes.items()}
        description = make(pixels)
    sets = {
        split: ImageSet(as_tensor(pixels[split]), torch.from_numpy(found.labels)[torch.tensor(orders[split])])
        for split, found in listing.splits.items()
    }
    return _Found(sets, next(found.classes for found in listing.splits.values()), description, mapped)


def _orders(spec: OwnPictures, listing: FolderListing[PictureSplit]) -> dict[Split, list[int]]:
    """Which pictures of each split are read: shuffled, so that a prefix is a fair sample; they are listed by class."""
    return {
        split: shuffled_order(len(found.labels))[: spec.train_samples if split == "train" else None].tolist()
        for split, found in listing.splits.items()
    }


def _described(
    spec: OwnPictures, listing: FolderListing[PictureSplit], seen: Mapping[Split, SeenSplit]
) -> DatasetDescription:
    return describe_seen(
        dataset_title(spec), seen, fit=spec.fit, unused=listing.unused, notes=_colours(spec), faults=listing.faults
    )


def _read_before(then: DatasetDescription, now: DatasetDescription) -> DatasetDescription:
    """What was seen when the pictures were decoded, beside what lies there now: others may be passed over."""
    changes: dict[str, object] = {"dataset": now.dataset, "unused": now.unused}
    for split, before, listed in (("train", then.train, now.train), ("test", then.test, now.test)):
        if before is not None and listed is not None:
            changes[split] = listed.model_copy(update={"read": before.read})
    return then.model_copy(update=changes)


def _colours(spec: OwnPictures) -> tuple[str, ...]:
    return ("The pictures are read in grey.",) if spec.channels == "grey" else ()


def _drawn(count: int, spec: DatasetSpec, split: Split) -> Tensor | None:
    """The positions that `spec.train_samples` draws of so many images; None where it takes all, in their order."""
    if split == "test" or spec.train_samples is None or spec.train_samples >= count:
        return None
    return shuffled_order(count)[: spec.train_samples]

"""Image data sets as tensors: read once, kept as the 8-bit values they are, and never in class order."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import assert_never

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from gauntlet.checks.description import DatasetDescription
from gauntlet.checks.requests import none_left, too_many_asked_for
from gauntlet.data.archives import Archive, read_digits
from gauntlet.data.folders import FolderListing
from gauntlet.data.order import shuffled_order
from gauntlet.data.own_images import as_labels, as_pixels, refuse_labels_beyond, refuse_unless_kept_so
from gauntlet.data.published import published
from gauntlet.data.reading import SeenSplit, Tally, describe_seen
from gauntlet.data.sources import PictureSplit, list_pictures, read_chosen
from gauntlet.data.survey import count_classes, survey_published
from gauntlet.data.torchvision_sets import read_published
from gauntlet.errors import DatasetUnavailable, ImagesInvalid
from gauntlet.spec.kinds import (
    SPLITS,
    Cifar10,
    Cifar100,
    DatasetSpec,
    Digits,
    FashionMnist,
    ImageFolder,
    Mnist,
    OwnPictures,
    Parquet,
    PublishedDataset,
    Split,
    Svhn,
    Uploaded,
    dataset_title,
)

# Told of every picture that was read: how many so far, of how many. It may raise, to read no more.
Watch = Callable[[int, int], None]


def _unwatched(_read: int, _total: int) -> None:
    pass


@dataclass(frozen=True)
class ImageSet:
    """Labelled images: `images` uint8 [n, channels, height, width], `labels` int64 [n].

    Raises:
        ImagesInvalid: they are of another type or shape; `of` takes more.
    """

    images: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        refuse_unless_kept_so(self.images, self.labels)

    @classmethod
    def of(cls, images: Tensor | ArrayLike, labels: Tensor | ArrayLike) -> "ImageSet":
        """An image set of tensors or arrays of one's own.

        Args:
            images: uint8, or floats in [0, 1], [n, channels, height, width]; floats are rounded to whole 255ths.
            labels: whole numbers from 0, [n].

        Raises:
            ImagesInvalid: another type or shape, or values out of range.
        """
        pixels = as_pixels(images)
        return cls(pixels, as_labels(labels, pixels))

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, count: int) -> "ImageSet":
        """The first `count` images, or all of them if there are fewer."""
        return ImageSet(self.images[:count], self.labels[:count])

    def at(self, positions: Tensor) -> "ImageSet":
        """The images at `positions` (int64 [m], on the images' device), in that order."""
        # Twenty times as fast as indexing for 64 CIFAR images: 4 µs instead of 76.
        return ImageSet(self.images.index_select(0, positions), self.labels.index_select(0, positions))

    def to(self, device: torch.device) -> "ImageSet":
        """The same images on `device`."""
        return ImageSet(self.images.to(device), self.labels.to(device))

    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Consecutive (images as `to_unit` gives them, labels) of at most `size` each."""
        for start in range(0, len(self), size):
            yield to_unit(self.images[start : start + size]), self.labels[start : start + size]


@dataclass(frozen=True)
class Dataset:
    """A training and a test set over the same classes; a label is an index into `classes`.

    Raises:
        ImagesInvalid: a label has no class, or the images of the two are of different shapes.
    """

    train: ImageSet
    test: ImageSet
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        for images in (self.train, self.test):
            refuse_labels_beyond(images.labels, len(self.classes))
        shapes = [list(images.images.shape[1:]) for images in (self.train, self.test)]
        if shapes[0] != shapes[1]:
            raise ImagesInvalid(f"Training images are of shape {shapes[0]} and test images of {shapes[1]}.")

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of every image."""
        channels, height, width = self.train.images.shape[1:]
        return channels, height, width


def to_unit(images: Tensor) -> Tensor:
    """uint8 images [n, c, h, w] as float32 in [0, 1], channels last in memory (1.2× faster convolutions)."""
    return images.to(torch.float32).div_(255).contiguous(memory_format=torch.channels_last)


def load_dataset(spec: DatasetSpec, data_root: Path) -> Dataset:
    """Read the data set that `spec` names; image folders and torchvision's archives lie below `data_root`.

    An uploaded data set lies below the service's storage: that is its `data_root`, here and in the functions below.

    Raises:
        DatasetUnavailable: it is missing, empty or damaged there, or smaller than `spec.train_samples`.
    """
    return read_dataset(spec, data_root)[0]


def read_dataset(spec: DatasetSpec, data_root: Path, watch: Watch = _unwatched) -> tuple[Dataset, DatasetDescription]:
    """The same, and what was seen on the way.

    Raises:
        DatasetUnavailable: as `load_dataset` says.
    """
    found = _read(spec, SPLITS, data_root, watch)
    train, test = found.sets["train"], found.sets["test"]
    return Dataset(train, test, found.classes), found.description


def load_split(
    spec: DatasetSpec, split: Split, data_root: Path, watch: Watch = _unwatched
) -> tuple[ImageSet, tuple[str, ...]]:
    """One of a data set's two sets, and its classes. `spec.train_samples` draws a fixed subset of the training set.

    Raises:
        DatasetUnavailable: as `load_dataset` says, of this one set.
    """
    images, classes, _ = read_split(spec, split, data_root, watch)
    return images, classes


def read_split(
    spec: DatasetSpec, split: Split, data_root: Path, watch: Watch = _unwatched
) -> tuple[ImageSet, tuple[str, ...], DatasetDescription]:
    """The same, and what was seen on the way.

    Raises:
        DatasetUnavailable: as `load_split` says.
    """
    found = _read(spec, (split,), data_root, watch)
    return found.sets[split], found.classes, found.description


def describe_dataset(spec: DatasetSpec, data_root: Path) -> DatasetDescription:
    """All that reading the data set shows, with every fault, and nothing kept or fetched.

    It reads what a run would read: of a training set no more than `spec.train_samples`.
    """
    match spec:
        case Digits():
            return _of_archives(spec, {split: read_digits(split) for split in SPLITS}).description
        case Cifar10() | Cifar100() | Svhn() | Mnist() | FashionMnist():
            if not published(spec).is_there(data_root):
                return survey_published(spec, data_root)
            try:
                archives = {split: read_published(spec, split, data_root, fetch=False) for split in SPLITS}
            except DatasetUnavailable as error:
                return DatasetDescription(dataset=dataset_title(spec), faults=(str(error),))
            return _of_archives(spec, archives).description
        case ImageFolder() | Uploaded() | Parquet():
            return _of_pictures(spec, list_pictures(spec, data_root), keep=False).description
        case _:
            assert_never(spec)


def digest(images: ImageSet, classes: Sequence[str]) -> str:
    """sha256 over a set's pixels, labels and class names in their order: equal for equal test sets only."""
    sha256 = hashlib.sha256(json.dumps([list(images.images.shape), list(classes)]).encode())
    for tensor in (images.images, images.labels):
        sha256.update(tensor.cpu().contiguous().numpy().tobytes())
    return sha256.hexdigest()


def hold_out(data: Dataset, count: int) -> tuple[Dataset, ImageSet]:
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


def _read(spec: DatasetSpec, splits: Sequence[Split], data_root: Path, watch: Watch) -> _Found:
    """Raises DatasetUnavailable with all that is at fault; of a folder that lacks something no picture is read."""
    match spec:
        case Digits():
            found = _of_archives(spec, {split: read_digits(split) for split in splits})
        case Cifar10() | Cifar100() | Svhn() | Mnist() | FashionMnist():
            found = _of_archives(spec, {split: read_published(spec, split, data_root) for split in splits})
        case ImageFolder() | Uploaded() | Parquet():
            listing = list_pictures(spec, data_root, splits)
            _refuse(spec, listing.describe(dataset_title(spec)))
            found = _of_pictures(spec, listing, watch)
        case _:
            assert_never(spec)
    _refuse(spec, found.description)
    return found


def _refuse(spec: DatasetSpec, found: DatasetDescription) -> None:
    too_many = None if found.train is None else too_many_asked_for(spec.train_samples, found.train.images)
    if faults := [*found.faults, *([too_many] if too_many else [])]:
        raise DatasetUnavailable(" ".join(faults))


def _of_archives(spec: Digits | PublishedDataset, archives: Mapping[Split, Archive]) -> _Found:
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
    notes = () if isinstance(spec, Digits) else published(spec).other_numbers(numbers)
    return _Found(sets, classes, describe_seen(dataset_title(spec), seen, notes=notes))


def _of_pictures(
    spec: OwnPictures, listing: FolderListing[PictureSplit], watch: Watch = _unwatched, *, keep: bool = True
) -> _Found:
    """The pictures of the splits that are there; without `keep` they are read and not kept."""
    sets: dict[Split, ImageSet] = {}
    seen: dict[Split, SeenSplit] = {}
    # They are listed class by class; shuffled once, every prefix is a fair sample.
    orders = {
        split: shuffled_order(len(found.labels))[: spec.train_samples if split == "train" else None]
        for split, found in listing.splits.items()
    }
    channels, height, width = spec.image_shape
    read, total = 0, sum(map(len, orders.values()))
    for split, found in listing.splits.items():
        chosen = orders[split]
        images = torch.empty(len(chosen) if keep else 0, *spec.image_shape, dtype=torch.uint8)
        tally = Tally()
        for number, (place, picture) in enumerate(read_chosen(found, split, chosen.tolist(), tally), 1):
            if keep:
                pixels = picture.pixels(channels=channels, height=height, width=width, fit=spec.fit)
                images[place] = torch.from_numpy(pixels)
            watch(read + number, total)
        read += len(chosen)
        labels = torch.from_numpy(found.labels)[chosen[: len(images)]]
        sets[split] = ImageSet(images, labels)
        seen[split] = SeenSplit(found.describe(), tally)
    classes = next((found.classes for found in listing.splits.values()), ())
    described = describe_seen(
        dataset_title(spec), seen, fit=spec.fit, unused=listing.unused, notes=_colours(spec), faults=listing.faults
    )
    return _Found(sets, classes, described)


def _colours(spec: OwnPictures) -> tuple[str, ...]:
    return ("The pictures are read in grey.",) if spec.channels == "grey" else ()


def _drawn(count: int, spec: DatasetSpec, split: Split) -> Tensor | None:
    """The positions that `spec.train_samples` draws of so many images; None where it takes all, in their order."""
    if split == "test" or spec.train_samples is None or spec.train_samples >= count:
        return None
    return shuffled_order(count)[: spec.train_samples]

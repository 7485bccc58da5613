"""One image of a data set's test images, without decoding the others where they are files."""

from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

import numpy as np
import numpy.typing as npt

from gauntlet.data.order import shuffled_order
from gauntlet.data.reading import Tally
from gauntlet.data.sets.archives import Archive, read_digits
from gauntlet.data.sets.cifar10_c import read_cifar10_c
from gauntlet.data.sets.torchvision_sets import read_published
from gauntlet.data.sources import PictureSplit, list_pictures, read_chosen
from gauntlet.errors import DatasetUnavailable
from gauntlet.spec.kinds import (
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
    Svhn,
    Uploaded,
    fit_of,
)


@dataclass(frozen=True)
class SingleImage:
    """`pixels` uint8 [channels, height, width], and the name of its class."""

    pixels: npt.NDArray[np.uint8]
    label: str


def read_test_image(spec: DatasetSpec, position: int, data_root: Path) -> SingleImage | None:
    """The image at that position of the test set, in the order that evaluations attack it in; None past its end.

    Raises:
        DatasetUnavailable: the data set, or the picture, is missing or damaged.
    """
    found = _test_images(spec, data_root)
    if position >= len(found.labels):
        return None
    if isinstance(found, Archive):
        return _of_archive(found, position)
    number = int(shuffled_order(len(found.labels))[position])
    return _of_pictures(found, number, spec, f"at position {position}")


def read_example(spec: DatasetSpec, label: int, data_root: Path) -> SingleImage | None:
    """The first test image of the class with that label, None where there is no such class.

    Raises:
        DatasetUnavailable: the data set, or the picture, is missing or damaged.
    """
    found = _test_images(spec, data_root)
    of_it = np.flatnonzero(np.asarray(found.labels) == label)
    if not len(of_it):
        return None
    first = int(of_it[0])
    return _of_archive(found, first) if isinstance(found, Archive) else _of_pictures(found, first, spec, f"{first}")


def _test_images(spec: DatasetSpec, data_root: Path) -> Archive | PictureSplit:
    match spec:
        case Digits():
            return read_digits("test")
        case Cifar10() | Cifar100() | Svhn() | Mnist() | FashionMnist() | Kmnist():
            return read_published(spec, "test", data_root, fetch=False)
        case Cifar10C():
            return read_cifar10_c(spec, data_root)
        case ImageFolder() | Uploaded() | Parquet():
            listing = list_pictures(spec, data_root, ("test",))
            if listing.faults:
                raise DatasetUnavailable(" ".join(listing.faults))
            return listing.splits["test"]
        case _:
            assert_never(spec)


def _of_archive(archive: Archive, number: int) -> SingleImage:
    return SingleImage(archive.images[number], archive.classes[int(archive.labels[number])])


def _of_pictures(split: PictureSplit, number: int, spec: DatasetSpec, name: str) -> SingleImage:
    """The picture of that number, which sentences call by the name."""
    for _, picture in read_chosen(split, "test", [number], Tally()):
        channels, height, width = spec.image_shape
        pixels = picture.pixels(channels=channels, height=height, width=width, fit=fit_of(spec))
        return SingleImage(pixels, split.classes[int(split.labels[number])])
    raise DatasetUnavailable(f"The picture {name} of the test images cannot be read.")

"""One image of a data set's test images, without reading the others where they are files."""

from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

import numpy as np
import numpy.typing as npt

from gauntlet.data.archives import Archive, read_digits
from gauntlet.data.order import shuffled_order
from gauntlet.data.reading import Tally
from gauntlet.data.sources import PictureSplit, list_pictures, read_chosen
from gauntlet.data.torchvision_sets import read_published
from gauntlet.errors import DatasetUnavailable
from gauntlet.spec.kinds import (
    Cifar10,
    Cifar100,
    DatasetSpec,
    Digits,
    FashionMnist,
    ImageFolder,
    Mnist,
    OwnPictures,
    Parquet,
    Svhn,
    Uploaded,
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
    match spec:
        case Digits():
            return _of_archive(read_digits("test"), position)
        case Cifar10() | Cifar100() | Svhn() | Mnist() | FashionMnist():
            return _of_archive(read_published(spec, "test", data_root, fetch=False), position)
        case ImageFolder() | Uploaded() | Parquet():
            listing = list_pictures(spec, data_root, ("test",))
            if listing.faults:
                raise DatasetUnavailable(" ".join(listing.faults))
            return _of_pictures(listing.splits["test"], position, spec)
        case _:
            assert_never(spec)


def _of_archive(archive: Archive, position: int) -> SingleImage | None:
    if position >= len(archive.labels):
        return None
    return SingleImage(archive.images[position], archive.classes[int(archive.labels[position])])


def _of_pictures(split: PictureSplit, position: int, spec: OwnPictures) -> SingleImage | None:
    if position >= len(split.labels):
        return None
    number = int(shuffled_order(len(split.labels))[position])
    for _, picture in read_chosen(split, "test", [number], Tally()):
        channels, height, width = spec.image_shape
        pixels = picture.pixels(channels=channels, height=height, width=width, fit=spec.fit)
        return SingleImage(pixels, split.classes[int(split.labels[number])])
    raise DatasetUnavailable(f"The picture at position {position} of the test images cannot be read.")

"""One image of a data set's test images, without reading the others where they are files."""

from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

import numpy as np
import numpy.typing as npt

from gauntlet.data.archives import Archive, read_digits
from gauntlet.data.datasets import shuffled_order
from gauntlet.data.folders import SplitListing, list_folder, list_uploaded
from gauntlet.data.pictures import read_picture
from gauntlet.data.torchvision_sets import read_published
from gauntlet.errors import DatasetUnavailable, PictureUnreadable
from gauntlet.spec.kinds import Cifar10, Cifar100, DatasetSpec, Digits, FashionMnist, ImageFolder, Mnist, Svhn, Uploaded


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
        case ImageFolder() | Uploaded():
            listing = (
                list_uploaded(data_root, spec.id, ("test",))
                if isinstance(spec, Uploaded)
                else list_folder(data_root, spec.folder, ("test",))
            )
            if listing.faults:
                raise DatasetUnavailable(" ".join(listing.faults))
            return _of_files(listing.splits["test"], position, spec.image_size)
        case _:
            assert_never(spec)


def _of_archive(archive: Archive, position: int) -> SingleImage | None:
    if position >= len(archive.labels):
        return None
    return SingleImage(archive.images[position], archive.classes[int(archive.labels[position])])


def _of_files(split: SplitListing, position: int, side: int) -> SingleImage | None:
    if position >= len(split.files):
        return None
    path, label = split.files[int(shuffled_order(len(split.files))[position])]
    try:
        picture = read_picture(split.folder / path)
    except PictureUnreadable as error:
        raise DatasetUnavailable(f"The picture at position {position} of the test images cannot be read.") from error
    return SingleImage(picture.pixels(channels=3, height=side, width=side), split.classes[label])

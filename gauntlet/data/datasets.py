"""Image data sets as tensors: read once, kept as the 8-bit values they are, and never in class order."""

import fcntl
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Literal, assert_never

import numpy as np
import torch
from numpy.typing import ArrayLike
from PIL import Image
from torch import Tensor

from gauntlet import seeding
from gauntlet.data.own_images import as_labels, as_pixels, refuse_unless_kept_so
from gauntlet.data.pictures import UNREADABLE, plain
from gauntlet.errors import DatasetUnavailable
from gauntlet.spec.kinds import Cifar10, DatasetSpec, Digits, ImageFolder
from gauntlet.torchvision_ops import declare_missing_operators

_DIGITS_FOR_TRAINING = 1_437
_DIGIT_LEVELS = 16
_FEWEST_CLASSES = 2
Split = Literal["train", "test"]

# Which images make up a subset is part of the protocol, so it does not follow the run's seed.
_ORDER_SEED = 0


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
    """A training and a test set over the same classes; a label is an index into `classes`."""

    train: ImageSet
    test: ImageSet
    classes: tuple[str, ...]

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

    Raises:
        DatasetUnavailable: it is missing, empty or damaged there.
    """
    train, classes = load_split(spec, "train", data_root)
    test, test_classes = load_split(spec, "test", data_root)
    if classes != test_classes:
        raise DatasetUnavailable(f"The training and the test set of {spec.name} do not have the same classes.")
    return Dataset(train, test, classes)


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
    if count >= len(data.train):
        raise DatasetUnavailable(
            f"There are {len(data.train)} training images, and {count} of them are to be held out for validation: "
            "none is left to train on."
        )
    order = _shuffled(len(data.train))
    return replace(data, train=data.train.at(order[count:])), data.train.at(order[:count])


def load_split(spec: DatasetSpec, split: Split, data_root: Path) -> tuple[ImageSet, tuple[str, ...]]:
    """One of a data set's two sets, and its classes. `spec.train_samples` draws a fixed subset of the training set.

    Raises:
        DatasetUnavailable: it is missing, empty or damaged below `data_root`.
    """
    samples = spec.train_samples if split == "train" else None
    match spec:
        case Digits():
            return _drawn(_digits(split), samples), tuple(map(str, range(10)))
        case Cifar10():
            images, classes = _cifar10(split, data_root)
            return _drawn(images, samples), classes
        case ImageFolder():
            return _image_folder(data_root / spec.folder / split, spec.image_size, samples)
        case _:
            assert_never(spec)


def _drawn(images: ImageSet, samples: int | None) -> ImageSet:
    if samples is None or samples >= len(images):
        return images
    return images.at(_shuffled(len(images))[:samples])


def _shuffled(count: int) -> Tensor:
    return torch.randperm(count, generator=seeding.generator("cpu", _ORDER_SEED, "data order"))


def _digits(split: Split) -> ImageSet:
    with resources.files("gauntlet.data").joinpath("digits.npz").open("rb") as file, np.load(file) as arrays:
        levels, labels = arrays["images"], arrays["labels"]
    pixels = np.rint(levels * (255 / _DIGIT_LEVELS)).astype(np.uint8)
    doubled = torch.from_numpy(pixels.repeat(2, axis=1).repeat(2, axis=2)[:, None])
    targets = torch.from_numpy(labels.astype(np.int64))
    part = slice(None, _DIGITS_FOR_TRAINING) if split == "train" else slice(_DIGITS_FOR_TRAINING, None)
    return ImageSet(doubled[part], targets[part])


def _cifar10(split: Split, data_root: Path) -> tuple[ImageSet, tuple[str, ...]]:
    declare_missing_operators()
    from torchvision.datasets import CIFAR10

    root, train = data_root / "torchvision", split == "train"
    try:
        try:
            # What is there is only read: the folder may be mounted read-only.
            archive = CIFAR10(root, train=train)
        except RuntimeError:
            root.mkdir(parents=True, exist_ok=True)
            # Runs that start together must not fetch into the same file.
            with (root / "cifar10.lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                archive = CIFAR10(root, train=train, download=True)
    except (OSError, RuntimeError) as error:
        raise DatasetUnavailable(
            f"CIFAR-10 is not below {root} and could not be fetched ({error}). Put the folder "
            "cifar-10-batches-py there, or use an image_folder data set."
        ) from error
    images = torch.from_numpy(archive.data).permute(0, 3, 1, 2).contiguous()
    return ImageSet(images, torch.tensor(archive.targets, dtype=torch.int64)), tuple(archive.classes)


def _image_folder(folder: Path, image_size: int, samples: int | None) -> tuple[ImageSet, tuple[str, ...]]:
    declare_missing_operators()
    from torchvision.datasets.folder import IMG_EXTENSIONS, find_classes, make_dataset

    try:
        classes, index = find_classes(folder)
        files = make_dataset(folder, index, extensions=IMG_EXTENSIONS)
    except OSError as error:
        raise DatasetUnavailable(f"No image folder can be read at {folder}: {error}.") from error
    if len(classes) < _FEWEST_CLASSES:
        raise DatasetUnavailable(f"There is only one class below {folder}; a classifier needs at least two.")
    # The files are listed class by class; shuffled once, every prefix is a fair sample.
    chosen = [files[position] for position in _shuffled(len(files))[:samples]]
    images = torch.empty(len(chosen), 3, image_size, image_size, dtype=torch.uint8)
    for position, (path, _) in enumerate(chosen):
        try:
            images[position] = _read_image(Path(path), image_size)
        except UNREADABLE as error:
            raise DatasetUnavailable(f"The image {path} cannot be read: {error}.") from error
    return ImageSet(images, torch.tensor([label for _, label in chosen], dtype=torch.int64)), tuple(classes)


def _read_image(path: Path, size: int) -> Tensor:
    with Image.open(path) as image:
        return to_tensor(plain(image), channels=3, height=size, width=size)


def to_tensor(image: Image.Image, *, channels: int, height: int, width: int) -> Tensor:
    """A picture as a model's input, uint8 [channels, height, width]; resized (bilinear) only where its size differs."""
    converted = image.convert("L" if channels == 1 else "RGB")
    if converted.size != (width, height):
        converted = converted.resize((width, height), Image.Resampling.BILINEAR)
    pixels = np.array(converted, dtype=np.uint8).reshape(height, width, channels)
    return torch.from_numpy(pixels).permute(2, 0, 1)

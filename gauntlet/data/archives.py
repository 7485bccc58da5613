"""Data sets that come as arrays, such as the bundled digits. No torch."""

from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gauntlet.spec.checkpoint_card import KNOWN_CLASSES
from gauntlet.spec.kinds import Split

_DIGITS_FOR_TRAINING = 1_437
_DIGIT_LEVELS = 16
_CIFAR10_FILES = ("batches.meta", *(f"data_batch_{number}" for number in range(1, 6)), "test_batch")
# Below the data root, as torchvision has it.
TORCHVISION = "torchvision"


@dataclass(frozen=True)
class Archive:
    """Labelled images: uint8 [n, channels, height, width], int64 [n]; a label is a position in `classes`."""

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    classes: tuple[str, ...]


def read_digits(split: Split) -> Archive:
    """The bundled digits."""
    with resources.files("gauntlet.data").joinpath("digits.npz").open("rb") as file, np.load(file) as arrays:
        levels, labels = arrays["images"], arrays["labels"]
    pixels = np.rint(levels * (255 / _DIGIT_LEVELS)).astype(np.uint8)
    doubled = pixels.repeat(2, axis=1).repeat(2, axis=2)[:, None]
    part = slice(None, _DIGITS_FOR_TRAINING) if split == "train" else slice(_DIGITS_FOR_TRAINING, None)
    return Archive(doubled[part], labels.astype(np.int64)[part], KNOWN_CLASSES["digits"])


def cifar10_is_there(data_root: Path) -> bool:
    """Whether CIFAR-10's files lie below the data root; whether they are whole is told when they are read."""
    folder = data_root / TORCHVISION / "cifar-10-batches-py"
    return all((folder / name).is_file() for name in _CIFAR10_FILES)

"""Data sets that come as arrays, such as the bundled digits. No torch."""

from dataclasses import dataclass
from importlib import resources

import numpy as np
import numpy.typing as npt

from gauntlet.spec.class_names import KNOWN_CLASSES
from gauntlet.spec.kinds import Split

_DIGITS_FOR_TRAINING = 1_437
_DIGIT_LEVELS = 16


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

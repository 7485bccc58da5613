"""CIFAR-10-C as its authors publish it: files of arrays that a user has put below the data root. No torch."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from gauntlet.data.sets.archives import Archive
from gauntlet.data.sets.published import are_seen
from gauntlet.errors import DatasetUnavailable
from gauntlet.spec.class_names import KNOWN_CLASSES
from gauntlet.spec.kinds import Cifar10C

FOLDER = "CIFAR-10-C"
_SOURCE = "https://zenodo.org/records/2535967"
# Each file has the test images once for each severity, in the order of CIFAR-10's own.
_IMAGES = 10_000
_SEVERITIES = 5
_PIXELS = (32, 32, 3)


def is_there(spec: Cifar10C, data_root: Path) -> bool:
    """Whether the two files are seen there that it needs."""
    return are_seen(data_root / FOLDER, _files(spec))


def missing(spec: Cifar10C) -> str:
    """The sentence of a corruption whose files are not there."""
    return (
        f"CIFAR-10-C's {spec.corruption} is not below the data root, and is not fetched. Put "
        f"{' and '.join(_files(spec))} into its folder {FOLDER}, from {_SOURCE}."
    )


def read_cifar10_c(spec: Cifar10C, data_root: Path) -> Archive:
    """The test images of one corruption at one severity.

    Raises:
        DatasetUnavailable: a file is missing, or is not what was published.
    """
    if not is_there(spec, data_root):
        raise DatasetUnavailable(missing(spec))
    part = slice((spec.severity - 1) * _IMAGES, spec.severity * _IMAGES)
    images, labels = (_array(data_root / FOLDER / name) for name in _files(spec))
    every = _SEVERITIES * _IMAGES
    if images.dtype != np.uint8 or images.shape != (every, *_PIXELS):
        raise DatasetUnavailable(_unlike(spec.corruption, images, f"uint8 [{every}, 32, 32, 3]"))
    classes = KNOWN_CLASSES[spec.name]
    if labels.shape != (every,) or labels.dtype.kind not in "iu" or int(labels.max()) >= len(classes):
        raise DatasetUnavailable(_unlike("labels", labels, f"whole numbers below 10, [{every}]"))
    pixels = np.ascontiguousarray(images[part].transpose(0, 3, 1, 2))
    return Archive(pixels, labels[part].astype(np.int64), classes)


def _files(spec: Cifar10C) -> tuple[str, str]:
    return f"{spec.corruption}.npy", "labels.npy"


def _array(path: Path) -> npt.NDArray[np.generic]:
    try:
        found: npt.NDArray[np.generic] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DatasetUnavailable(f"{FOLDER}/{path.name} cannot be read as NumPy's array file: {error}.") from error
    return found


def _unlike(name: str, found: npt.NDArray[np.generic], wanted: str) -> str:
    held = f"{found.dtype} {list(found.shape)}"
    return f"{FOLDER}/{name}.npy holds {held} and not {wanted}: it is not the file of {_SOURCE}."

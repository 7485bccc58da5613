"""CIFAR-10 as torchvision reads and fetches it."""

import fcntl
from pathlib import Path
from typing import Any

import numpy as np

from gauntlet.data.archives import TORCHVISION, Archive
from gauntlet.errors import DatasetUnavailable
from gauntlet.spec.kinds import Split
from gauntlet.torchvision_ops import declare_missing_operators


def read_cifar10(split: Split, data_root: Path, *, fetch: bool = True) -> Archive:
    """CIFAR-10, fetched where it is not there.

    Raises:
        DatasetUnavailable: it is not there, or damaged, and cannot be fetched or must not be.
    """
    declare_missing_operators()
    from torchvision.datasets import CIFAR10

    root, train = data_root / TORCHVISION, split == "train"

    def opened() -> Any:
        try:
            # What is there is only read: the folder may be mounted read-only.
            return CIFAR10(root, train=train)
        except RuntimeError:
            if not fetch:
                raise
        root.mkdir(parents=True, exist_ok=True)
        # Runs that start together must not fetch into the same file.
        with (root / "cifar10.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            return CIFAR10(root, train=train, download=True)

    try:
        archive = opened()
    except (OSError, RuntimeError) as error:
        raise DatasetUnavailable(
            f"CIFAR-10 is not whole in {TORCHVISION}/cifar-10-batches-py below the data root, and was not fetched "
            f"({_why(error)}). Put that folder there, or use an image_folder data set."
        ) from error
    pixels = np.ascontiguousarray(archive.data.transpose(0, 3, 1, 2))
    return Archive(pixels, np.asarray(archive.targets, dtype=np.int64), tuple(archive.classes))


def _why(error: OSError | RuntimeError) -> object:
    """What kept the archive away. A file's error has a path of the machine in its own text."""
    return getattr(error, "reason", None) or (isinstance(error, OSError) and error.strerror) or error

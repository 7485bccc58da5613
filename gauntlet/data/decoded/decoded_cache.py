"""Decoded pictures on the disk, mapped into memory: for data sets that memory should not hold. No torch.

`FOLDER/KEY/` has a file of pixels for each split, and what was seen when they were read; KEY is a digest of all that
they depend on. It is written as `KEY.partial` under the lock `KEY.lock`, and published by its rename.
"""

import fcntl
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from gauntlet.checks.description import DatasetDescription
from gauntlet.data.decoded.decoding import Pixels
from gauntlet.errors import DatasetUnavailable
from gauntlet.spec.kinds import Split

_DESCRIPTION = "description.json"
_LOOK_S = 0.5

Shapes = Mapping[Split, tuple[int, int, int, int]]


@dataclass(frozen=True)
class Decoded:
    """Pixels uint8 [n, channels, height, width] of each split, mapped read-only, and what was seen of them."""

    pixels: dict[Split, Pixels]
    description: DatasetDescription


@dataclass(frozen=True)
class DecodedCache:
    """At most `most_bytes` below `folder`, of data sets that have `from_bytes` or more; those used last stay.

    What is thrown out while a process uses it stays readable to that process, and its room is free when that ends.
    """

    folder: Path
    most_bytes: int
    from_bytes: int = 1 << 30

    def takes(self, shapes: Shapes) -> bool:
        """Whether pixels of these shapes belong here."""
        return _bytes_of(shapes) >= self.from_bytes

    def pixels(
        self,
        key: str,
        shapes: Shapes,
        make: Callable[[Mapping[Split, Pixels]], DatasetDescription],
        wait: Callable[[], None],
    ) -> Decoded:
        """What is stored under that key, or what `make` fills in and describes.

        `wait` is called twice a second while another process is making the same; it may raise, to wait no longer.

        Raises:
            DatasetUnavailable: it is more than there may be; or `make` raises it, and then nothing is stored.
            OSError: there is no room on the disk.
        """
        if found := self._opened(key, shapes):
            return found
        with self._locked(key, wait):
            if found := self._opened(key, shapes):
                return found
            self._make(key, shapes, make)
        found = self._opened(key, shapes)
        if found is None:
            raise DatasetUnavailable("Other data sets took the room of the decoded pictures at once: let more be kept.")
        return found

    def sweep(self) -> None:
        """Delete what a process that died left half done, and what is beyond the bound."""
        for partial in self.folder.glob("*.partial"):
            with suppress(BlockingIOError), self._locked(partial.stem, None):
                shutil.rmtree(partial, ignore_errors=True)
        self._make_room(0)

    def _opened(self, key: str, shapes: Shapes) -> Decoded | None:
        entry = self.folder / key
        try:
            description = DatasetDescription.model_validate_json((entry / _DESCRIPTION).read_bytes())
            # So that it is known when it was used last.
            os.utime(entry / _DESCRIPTION)
            pixels = {split: _mapped(entry / split, shape) for split, shape in shapes.items()}
        except (FileNotFoundError, ValidationError, ValueError):
            return None
        return Decoded(pixels, description)

    def _make(self, key: str, shapes: Shapes, make: Callable[[Mapping[Split, Pixels]], DatasetDescription]) -> None:
        size = _bytes_of(shapes)
        if size > self.most_bytes:
            raise DatasetUnavailable(
                f"The data set has {size:,} bytes of pixels, and {self.most_bytes:,} may be kept on the disk: let more "
                "be kept (GAUNTLET_MAX_DECODED_BYTES), ask for smaller images, or draw fewer by train_samples."
            )
        self._make_room(size)
        entry, partial = self.folder / key, self.folder / f"{key}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        try:
            partial.mkdir(parents=True)
            into = {split: _allocated(partial / split, shape) for split, shape in shapes.items()}
            description = make(into)
            for pixels in into.values():
                pixels.flush()
            with (partial / _DESCRIPTION).open("w") as file:
                file.write(description.model_dump_json())
                file.flush()
                os.fsync(file.fileno())
            # One that is damaged.
            shutil.rmtree(entry, ignore_errors=True)
            partial.rename(entry)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise

    def _make_room(self, size: int) -> None:
        """Delete what was used longest ago, until so much fits in beside the rest."""
        used: list[tuple[float, int, Path]] = []
        for described in self.folder.glob(f"*/{_DESCRIPTION}"):
            if described.parent.suffix != ".partial":
                with suppress(FileNotFoundError):
                    held = sum(file.stat().st_size for file in described.parent.iterdir())
                    used.append((described.stat().st_mtime, held, described.parent))
        total = size + sum(held for _, held, _ in used)
        for _, held, entry in sorted(used):
            if total <= self.most_bytes:
                return
            shutil.rmtree(entry, ignore_errors=True)
            total -= held

    @contextmanager
    def _locked(self, key: str, wait: Callable[[], None] | None) -> Iterator[None]:
        """Alone with the key among all processes, which the system ends with a process, however it dies.

        Without `wait` a lock that another holds is a BlockingIOError.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = self.folder / f"{key}.lock"
        while True:
            with lock.open("w") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    if wait is None:
                        raise
                    wait()
                    time.sleep(_LOOK_S)
                    continue
                if not _is_still(lock, file.fileno()):
                    continue
                try:
                    yield
                finally:
                    lock.unlink(missing_ok=True)
                return


def _is_still(lock: Path, descriptor: int) -> bool:
    """Whether the file that is locked is the one of that name: whoever had it before has deleted it."""
    try:
        return lock.stat().st_ino == os.fstat(descriptor).st_ino
    except FileNotFoundError:
        return False


def _bytes_of(shapes: Shapes) -> int:
    return sum(map(math.prod, shapes.values()))


def _allocated(path: Path, shape: tuple[int, ...]) -> "np.memmap[tuple[int, ...], np.dtype[np.uint8]]":
    with path.open("wb") as file:
        # All of it at once: a mapped file that finds no room while it is written ends the process by a signal.
        os.posix_fallocate(file.fileno(), 0, max(math.prod(shape), 1))
    return np.memmap(path, np.uint8, "r+", shape=shape)


def _mapped(path: Path, shape: tuple[int, ...]) -> Pixels:
    if path.stat().st_size != max(math.prod(shape), 1):
        raise ValueError("It has another size.")
    # Read-only and shared, for which the system sets no memory aside.
    return np.memmap(path, np.uint8, "r", shape=shape)

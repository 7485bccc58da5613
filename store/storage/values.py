"""What a storage is asked for and answers with, and what can be wrong with it."""

import errno
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from types import TracebackType
from typing import Self

# What an OSError says where there is no room.
STORAGE_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# What a disk says to whoever may not read or write there.
_REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS)


class StorageAway(OSError):
    """The storage does not answer, or asks to be left alone for a while."""


class StorageRefused(OSError):
    """The store refuses this service: its credentials, its rights, or a bucket that there is not."""


def is_refused(error: OSError) -> bool:
    """Whether the storage takes nothing from this service until an operator changes something."""
    return isinstance(error, StorageRefused) or error.errno in _REFUSED


def is_the_storages(error: OSError) -> bool:
    """Whether the storage itself is at fault, and not what is asked for: whoever asks may wait until it is mended."""
    return error.errno in STORAGE_FULL or isinstance(error, StorageAway) or is_refused(error)


class FileDamaged(OSError):
    """What is stored is not what was: its digest is another."""

    def __init__(self, path: str) -> None:
        super().__init__(errno.EIO, "its sha256 is not the one that was recorded", path)


@dataclass(frozen=True)
class StoredFile:
    """A file in the storage: `path` relative to its root."""

    path: str
    sha256: str
    bytes: int


@dataclass(frozen=True)
class Room:
    """The disk that the storage is on, in bytes."""

    total: int
    free: int


class Draft:
    """A file on this machine that is on its way into the storage: written to, kept, or gone when it is closed.

    Raises:
        OSError: it cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / token_hex(16)
        self._file = self.path.open("x+b")

    def write(self, piece: bytes) -> int:
        return self._file.write(piece)

    def seek(self, place: int) -> int:
        return self._file.seek(place)

    def fileno(self) -> int:
        return self._file.fileno()

    def sync(self) -> None:
        """Have it on the disk, which takes seconds for a large one.

        Raises:
            OSError: there is no room.
        """
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        # What was not written yet may find no room, and is not wanted any more.
        with suppress(OSError):
            self._file.close()
        self.path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

"""What a storage is asked for and answers with, and what can be wrong with it."""

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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
    """The storage refuses this service until an operator changes something.

    Its credentials, its rights, or a bucket that there is not; of a folder, or of what lies on this machine of a
    bucket, what the system says to whoever may not read or write there.
    """


def met_there(error: OSError) -> OSError:
    """What an error comes to that was met in the storage: its refusal, where the system lets nobody read or write.

    The same errno from anywhere else says nothing about the storage.
    """
    if isinstance(error, StorageRefused) or error.errno not in _REFUSED:
        return error
    return StorageRefused(error.errno, error.strerror, error.filename)


@contextmanager
def refusals() -> Iterator[None]:
    """Of what is read or written within, all is the storage's.

    Raises:
        OSError: as `met_there` says.
    """
    try:
        yield
    except OSError as error:
        met = met_there(error)
        if met is error:
            raise
        raise met from error


def is_the_storages(error: OSError) -> bool:
    """Whether the storage itself is at fault, and not what is asked for: whoever asks may wait until it is mended."""
    return error.errno in STORAGE_FULL or isinstance(error, StorageAway | StorageRefused)


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


@refusals()
def sha256_of(file: Path) -> str:
    """The digest of a file that is the storage's, in hexadecimal digits.

    Raises:
        OSError: it cannot be read.
    """
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


class Draft:
    """A file on this machine that is on its way into the storage: written to, kept, or gone when it is closed.

    Raises:
        OSError: it cannot be made.
    """

    @refusals()
    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / token_hex(16)
        self._file = self.path.open("x+b")

    @refusals()
    def write(self, piece: bytes) -> int:
        return self._file.write(piece)

    @refusals()
    def seek(self, place: int) -> int:
        return self._file.seek(place)

    def fileno(self) -> int:
        return self._file.fileno()

    @refusals()
    def sync(self) -> None:
        """Have it on the disk, which takes seconds for a large one.

        Raises:
            OSError: there is no room.
        """
        self._file.flush()
        os.fsync(self._file.fileno())

    @refusals()
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

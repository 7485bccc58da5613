"""Files on their way to a service: read piece by piece, and how much has been read is told."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from gauntlet.client.errors import GauntletClientError

# Told of how many bytes of how many have been sent.
Watch = Callable[[int, int], None]


class Archive(Protocol):
    """What an upload is read from; it can be read again from its beginning."""

    def read(self, size: int = -1, /) -> bytes: ...
    def seek(self, place: int, whence: int = 0, /) -> int: ...
    def tell(self) -> int: ...
    def close(self) -> None: ...


def sendable(name: str) -> str:
    """A file's name as a request may hold it: in a folder it need not be UTF-8."""
    return name.encode("utf-8", "replace").decode()


@contextmanager
def opened(archive: Path | Archive, watch: Watch | None) -> Iterator["Watched"]:
    """The archive, to be read; closed with the block.

    Raises:
        GauntletClientError: it is a folder.
        OSError: it cannot be read.
    """
    if isinstance(archive, Path) and archive.is_dir():
        raise GauntletClientError(f"{archive} is a folder: give its PackedFolder, or an archive of it.")
    file = archive.open("rb") if isinstance(archive, Path) else archive
    try:
        yield Watched(file, watch)
    finally:
        file.close()


class Watched:
    """The same file, and somebody who is told how far it is."""

    def __init__(self, file: Archive, watch: Watch | None) -> None:
        self._file = file
        self._watch = watch
        self._total = file.seek(0, os.SEEK_END)
        file.seek(0)

    def read(self, size: int = -1) -> bytes:
        piece = self._file.read(size)
        if self._watch is not None:
            self._watch(self._file.tell(), self._total)
        return piece

    def seek(self, place: int, whence: int = 0) -> int:
        return self._file.seek(place, whence)

    def tell(self) -> int:
        return self._file.tell()

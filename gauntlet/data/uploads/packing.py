"""A folder's pictures as a tar that is made while it is read, for an upload."""

import os
import tarfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import NamedTuple

from gauntlet.data.sets.parquet import split_of
from gauntlet.data.sets.walk import PassedOver, clutter, no_picture

_PIECE = 1 << 20
_BLOCK = tarfile.BLOCKSIZE


class _Packed(NamedTuple):
    path: Path
    header: bytes
    size: int


class PackedFolder:
    """What a tar of the folder's pictures, and Parquet files of them, would be read as; nothing is written anywhere.

    The same pictures under the same names are the same bytes, whatever their times and owners, so that uploading a
    folder twice makes one data set. Links are followed; what is no picture is passed over.
    """

    def __init__(self, folder: Path) -> None:
        self.passed_over = PassedOver()
        self._packed = [
            _Packed(path, _header(name, size), size) for name, path, size in sorted(_pictures(folder, self.passed_over))
        ]
        content = sum(len(each.header) + _padded(each.size) for each in self._packed)
        self.bytes = -(-(content + 2 * _BLOCK) // tarfile.RECORDSIZE) * tarfile.RECORDSIZE
        self._end = bytes(self.bytes - content)
        self._at = 0
        self._left = memoryview(b"")
        self._pieces = self._content()

    @property
    def pictures(self) -> int:
        """How many files there are."""
        return len(self._packed)

    def read(self, size: int = -1) -> bytes:
        """The next piece, of at most so many bytes.

        Raises:
            OSError: a picture cannot be read, or is smaller than it was.
        """
        pieces: list[bytes] = []
        wanted = self.bytes - self._at if size < 0 else size
        while wanted > 0:
            if not self._left:
                self._left = memoryview(next(self._pieces, b""))
                if not self._left:
                    break
            taken, self._left = self._left[:wanted], self._left[wanted:]
            pieces.append(bytes(taken))
            wanted -= len(taken)
            self._at += len(taken)
        return b"".join(pieces)

    def seek(self, place: int, whence: int = os.SEEK_SET) -> int:
        """Go to the beginning, or say where the end is: what a sender does to learn the length."""
        if whence == os.SEEK_END and place == 0:
            self._at = self.bytes
        elif whence == os.SEEK_SET and place in (0, self._at):
            if place == 0:
                self._start()
        else:
            raise OSError("A folder that is packed on the way can be read from its beginning only.")
        return self._at

    def tell(self) -> int:
        return self._at

    def close(self) -> None:
        """Nothing is open between two reads but the picture that is being read."""
        self._pieces.close()

    def _start(self) -> None:
        self._at = 0
        self._left = memoryview(b"")
        self._pieces = self._content()

    def _content(self) -> Generator[bytes, None, None]:
        for each in self._packed:
            yield each.header
            left = each.size
            with each.path.open("rb") as file:
                while left:
                    piece = file.read(min(left, _PIECE))
                    if not piece:
                        raise OSError(0, "it became smaller while it was being read", str(each.path))
                    left -= len(piece)
                    yield piece
            if padding := _padded(each.size) - each.size:
                yield bytes(padding)
        yield self._end


def _pictures(folder: Path, passed_over: PassedOver) -> Iterator[tuple[str, Path, int]]:
    """The pictures below the folder: the name in the tar, where each lies, its size."""
    seen: set[tuple[int, int]] = set()
    below: list[tuple[str, ...]] = []
    pictures: list[tuple[str, ...]] = []
    for place, folders, files in os.walk(folder, followlinks=True):
        state = Path(place).stat()
        if (state.st_dev, state.st_ino) in seen:
            # A link back to a folder above.
            folders.clear()
            continue
        seen.add((state.st_dev, state.st_ino))
        below.append(Path(place).relative_to(folder).parts)
        folders[:] = sorted(name for name in folders if clutter(name) is None)
        for name in sorted(files):
            path = Path(place) / name
            inside = str(path.relative_to(folder))
            kind = "file" if path.is_file() else "other"
            is_table = kind == "file" and split_of(name) is not None
            if reason := clutter(name) or (None if is_table else no_picture(name, kind)):
                passed_over.skip(reason, inside)
            else:
                pictures.append(path.relative_to(folder).parts)
                yield inside, path, path.stat().st_size
    passed_over.skip_bare(below, pictures)


def _header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = size
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _padded(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK

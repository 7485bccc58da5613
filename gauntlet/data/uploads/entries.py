"""What lies in an archive, entry by entry, from the beginning to the end: zip, and tar plain or compressed.

Neither reader extracts anything or follows a name. Whoever reads the entries bounds them; what takes memory here is
bounded by the process (a zip's directory, the dictionary of an xz).
"""

import bz2
import gzip
import lzma
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, Literal, cast

from gauntlet.checks.names import shown
from gauntlet.errors import ArchiveRefused

Kind = Literal["file", "folder", "link", "other"]
FORMATS_IN_WORDS = "ZIP, TAR, TAR.GZ, TAR.BZ2 and TAR.XZ"

# tarfile reads a long name, or what else is said of an entry, at once, of the length that the archive says; before
# Python 3.11.10 and 3.12.6 it takes the square of that to look through it (CVE-2024-6232): a second for as much.
_PIECE = 32 << 10
_TAR_BLOCK = 512
_ENCRYPTED, _UTF8 = 0x1, 0x800
_OTHERS = (
    (re.compile(rb"7z\xbc\xaf\x27\x1c"), "a 7-Zip archive"),
    (re.compile(rb"Rar!\x1a\x07"), "a RAR archive"),
    (re.compile(rb"\x28\xb5\x2f\xfd"), "compressed by Zstandard"),
    (re.compile(rb"\x89PNG|\xff\xd8\xff|RIFF.{4}WEBP|BM", re.DOTALL), "a picture"),
)
_DAMAGED = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, gzip.BadGzipFile)
# What else their readers raise at a crafted file.
_CRAFTED = (ValueError, ArithmeticError, LookupError, RuntimeError, struct.error)


@dataclass(frozen=True)
class Entry:
    """One entry as the archive has it; `read` gives the content of a file piece by piece, once and at once."""

    name: str
    kind: Kind
    read: Callable[[], Iterator[bytes]]


def entries(archive: Path, most_bytes: int) -> Iterator[Entry]:
    """What lies in the archive, in its order. A compressed tar is unpacked to `most_bytes` and no further.

    Raises:
        ArchiveRefused: it is none that is read, damaged, cut off, encrypted, or a tar that unpacks to more.
        OSError: it cannot be read.
    """
    with archive.open("rb") as file:
        begin = file.read(_TAR_BLOCK)
        file.seek(0)
        with _damage_told():
            if begin.startswith((b"PK\x03\x04", b"PK\x05\x06")):
                yield from _zip_entries(file)
            else:
                yield from _tar_entries(_plain(file, begin), most_bytes)


@contextmanager
def _damage_told() -> Iterator[None]:
    try:
        yield
    except _DAMAGED as error:
        raise ArchiveRefused(f"The archive is damaged or cut off: {shown(str(error)) or 'it ends early'}.") from error
    except NotImplementedError as error:
        raise ArchiveRefused(f"The archive is packed in a way that is not read: {shown(str(error))}.") from error
    except _CRAFTED as error:
        raise ArchiveRefused("The archive is damaged.") from error
    except OSError as error:
        # bz2 and gzip say so by a bare OSError; those of the system have a number.
        if error.errno is not None:
            raise
        raise ArchiveRefused(f"The archive is damaged: {shown(str(error))}.") from error


def _plain(file: IO[bytes], begin: bytes) -> IO[bytes]:
    """The tar, unpacked as it is read."""
    if begin.startswith(b"\x1f\x8b"):
        return cast("IO[bytes]", gzip.GzipFile(fileobj=file))
    if begin.startswith(b"BZh"):
        return cast("IO[bytes]", bz2.BZ2File(file))
    if begin.startswith(b"\xfd7zXZ\x00"):
        return cast("IO[bytes]", lzma.LZMAFile(file))
    if begin[257:262] == b"ustar":
        return file
    if not begin:
        raise ArchiveRefused("The file is empty.")
    found = next((f"{name} and " for beginning, name in _OTHERS if beginning.match(begin)), "")
    raise ArchiveRefused(f"The file is {found}none of {FORMATS_IN_WORDS}.")


def _zip_entries(file: IO[bytes]) -> Iterator[Entry]:
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            name = _zip_name(info)
            if info.flag_bits & _ENCRYPTED:
                raise ArchiveRefused(f"The archive is encrypted ({shown(name)}): pack it without a password.")
            yield Entry(name, _zip_kind(info), partial(_zip_content, archive, info))


def _zip_name(info: zipfile.ZipInfo) -> str:
    """The name; without the flag for UTF-8 it should be cp437, and is often UTF-8 all the same."""
    name = info.filename
    if not info.flag_bits & _UTF8:
        with suppress(UnicodeError):
            name = name.encode("cp437").decode()
    # Some programs on Windows separate folders so.
    return name.replace("\\", "/")


def _zip_kind(info: zipfile.ZipInfo) -> Kind:
    if info.is_dir() or info.filename.endswith("\\"):
        return "folder"
    form = stat.S_IFMT(info.external_attr >> 16)
    return _kind_of(form) if form else "file"


def _kind_of(form: int) -> Kind:
    kinds: dict[int, Kind] = {stat.S_IFREG: "file", stat.S_IFDIR: "folder", stat.S_IFLNK: "link"}
    return kinds.get(form, "other")


def _zip_content(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[bytes]:
    with _damage_told(), archive.open(info) as content:
        while piece := content.read(_PIECE):
            yield piece


def _tar_entries(file: IO[bytes], most_bytes: int) -> Iterator[Entry]:
    reader = _Forward(file, most_bytes)
    with tarfile.open(fileobj=cast("IO[bytes]", reader), mode="r:", errors="surrogateescape") as archive:
        while (info := archive.next()) is not None:
            yield Entry(info.name, _tar_kind(info), partial(_tar_content, archive, info))
            # It would keep every entry for a second pass.
            archive.members.clear()  # type: ignore[attr-defined]  # it has no other way
    if reader.is_at_end:
        # tarfile takes the file's end for the archive's, which is marked; what came behind would be missing in silence.
        raise ArchiveRefused("The archive is cut off: it has no end.")


def _tar_kind(info: tarfile.TarInfo) -> Kind:
    if info.issparse():
        return "other"
    if info.isreg():
        return "file"
    if info.isdir():
        return "folder"
    return "link" if info.issym() or info.islnk() else "other"


def _tar_content(archive: tarfile.TarFile, info: tarfile.TarInfo) -> Iterator[bytes]:
    with _damage_told():
        content = archive.extractfile(info)
        assert content is not None
        while piece := content.read(_PIECE):
            yield piece


class _Forward:
    """What tarfile reads a tar through: forward only, in pieces, and no further than the bound."""

    def __init__(self, file: IO[bytes], most_bytes: int) -> None:
        self._file = file
        self._most = most_bytes
        self._at = 0
        self.is_at_end = False

    def tell(self) -> int:
        return self._at

    def read(self, size: int) -> bytes:
        if size > _PIECE:
            raise ArchiveRefused(
                "The archive says more of an entry than anybody does: a name or an attribute is too long."
            )
        self._at += size
        if self._at > self._most:
            raise too_many_bytes(self._most)
        content = self._file.read(size)
        self.is_at_end = len(content) < size
        self._at += len(content) - size
        return content

    def seek(self, place: int, whence: Any = 0) -> int:
        if whence or place < self._at:
            raise ArchiveRefused("The archive is damaged: its entries lie over each other.")
        while self._at < place and self.read(min(place - self._at, _PIECE)):
            pass
        return self._at


def too_many_bytes(most: int) -> ArchiveRefused:
    """The refusal of what unpacks to more than it may."""
    return ArchiveRefused(
        f"The archive unpacks to more than {most:,} bytes, which is more than it may: by its own size, by the bound of "
        "the service, or by what its owner's quota leaves."
    )

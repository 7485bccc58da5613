"""The archive: a tar whose last entry has the digests of all others, so that what is cut short or damaged is found."""

import hashlib
import io
import json
import os
import re
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from store.errors import ArchiveUnusable

FORMAT = 1
MANIFEST = "manifest.json"
_OWNER_ALONE = 0o600
_PIECE = 1 << 20
_LONGEST_MANIFEST = 1 << 30
_NAME = re.compile(r"database/[a-z_]+\.jsonl|secret\.key|files/.+")


class Entry(BaseModel):
    """An entry's length and digest."""

    model_config = ConfigDict(frozen=True)

    bytes: int
    sha256: str


class Manifest(BaseModel):
    """What an archive is of, and all its other entries by name."""

    model_config = ConfigDict(frozen=True)

    format: int
    gauntlet: str
    revision: str
    created_at: float
    rows: dict[str, int]
    entries: dict[str, Entry]


class Hashing:
    """A file that is read through once, or written: how much of it there was, and its digest."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._sha256 = hashlib.sha256()
        self._bytes = 0

    @property
    def entry(self) -> Entry:
        return Entry(bytes=self._bytes, sha256=self._sha256.hexdigest())

    def read(self, size: int) -> bytes:
        return self._count(self._file.read(size))

    def write(self, piece: bytes) -> None:
        self._file.write(self._count(piece))

    def _count(self, piece: bytes) -> bytes:
        self._sha256.update(piece)
        self._bytes += len(piece)
        return piece


class Writer:
    """An archive that is written; there under its name once `finish` was called, and not before."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._aside = path.with_name(f"{path.name}.partial")
        # It holds what every token opens, and everybody's models.
        descriptor = os.open(self._aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _OWNER_ALONE)
        self._file = os.fdopen(descriptor, "wb")
        self._tar = tarfile.open(fileobj=self._file, mode="w", format=tarfile.PAX_FORMAT)  # noqa: SIM115  # closed below
        self.entries: dict[str, Entry] = {}

    @property
    def folder(self) -> Path:
        """Where the archive lies, and what is written on the way to it may."""
        return self._path.parent

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._aside.unlink(missing_ok=True)

    def add(self, name: str, file: IO[bytes]) -> Entry:
        """Add what `file` holds from its beginning on; returns its digest."""
        info = tarfile.TarInfo(name)
        info.size = file.seek(0, os.SEEK_END)
        file.seek(0)
        info.mode = _OWNER_ALONE
        hashing = Hashing(file)
        self._tar.addfile(info, hashing)  # type: ignore[arg-type]  # it is read, and nothing else
        self.entries[name] = hashing.entry
        return hashing.entry

    def finish(self, describe: Callable[[dict[str, Entry]], Manifest]) -> Manifest:
        """Write the manifest, have all of it on the disk, and give the archive its name."""
        manifest = describe(self.entries)
        self.add(MANIFEST, io.BytesIO(manifest.model_dump_json(indent=1).encode()))
        self._tar.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._aside.rename(self._path)
        return manifest


@contextmanager
def reading(path: Path) -> Iterator[Iterator[tuple[str, IO[bytes]]]]:
    """The entries of an archive one after the other, each to be read before the next is asked for.

    Raises:
        ArchiveUnusable: it cannot be read as one.
    """
    try:
        with tarfile.open(path, "r:") as tar:
            yield _entries(tar)
    except (tarfile.TarError, EOFError) as error:
        raise ArchiveUnusable(f"{path} is no whole archive of `gauntlet backup`: {error}.") from error


def _entries(tar: tarfile.TarFile) -> Iterator[tuple[str, IO[bytes]]]:
    seen: set[str] = set()
    while (info := tar.next()) is not None:
        # Thousands of entries were kept else.
        tar.members.clear()  # type: ignore[attr-defined]  # it has no other way
        known = info.name == MANIFEST or (_NAME.fullmatch(info.name) and ".." not in info.name.split("/"))
        if not info.isreg() or not known or info.name in seen:
            raise ArchiveUnusable(f"The archive has an entry that no backup has: {info.name[:200]!r}.")
        seen.add(info.name)
        file = tar.extractfile(info)
        assert file is not None
        yield info.name, file


def copy(source: IO[bytes], target: IO[bytes]) -> Entry:
    """Copy an entry; returns the digest of what was there."""
    hashing = Hashing(source)
    while piece := hashing.read(_PIECE):
        target.write(piece)
    return hashing.entry


def read_manifest(file: IO[bytes]) -> Manifest:
    """What the last entry says.

    Raises:
        ArchiveUnusable: it is damaged, or of a later Gauntlet.
    """
    try:
        document: Any = json.loads(file.read(_LONGEST_MANIFEST))
        if isinstance(document, dict) and document.get("format") != FORMAT:
            raise ArchiveUnusable("The archive was made by another version of Gauntlet, in a form that this one lacks.")
        return Manifest.model_validate(document)
    except (ValueError, ValidationError) as error:
        raise ArchiveUnusable("The archive's manifest is damaged.") from error


def require_whole(manifest: Manifest | None, found: dict[str, Entry]) -> Manifest:
    """The manifest, if all that it names was found as it says, and nothing else.

    Raises:
        ArchiveUnusable: with what is wrong first.
    """
    if manifest is None:
        raise ArchiveUnusable("The archive is cut short: its manifest, which is the last of it, is missing.")
    for name in sorted(manifest.entries.keys() | found.keys()):
        if name not in found:
            raise ArchiveUnusable(f"The archive lacks {name}.")
        if manifest.entries.get(name) != found[name]:
            raise ArchiveUnusable(f"The archive is damaged: {name} is not what its digest says.")
    return manifest

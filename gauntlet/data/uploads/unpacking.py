"""An archive's pictures written out, within bounds; everything else in it is passed over, or refuses it all."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from gauntlet.checks.names import is_text, shown
from gauntlet.data.sets.parquet import split_of
from gauntlet.data.sets.walk import PassedOver, clutter, no_picture
from gauntlet.data.uploads.bounds import Bounds
from gauntlet.data.uploads.entries import Entry, entries, too_many_bytes
from gauntlet.data.uploads.paths import checked
from gauntlet.errors import ArchiveRefused

Parts = tuple[str, ...]
# Told of every entry: how many so far.
Watch = Callable[[int], None]


@dataclass
class Unpacked:
    """The pictures below a folder, by the parts of their paths, with the sha256 of each; and what was passed over.

    `tables` are Parquet files that hold pictures.
    """

    folder: Path
    pictures: dict[Parts, bytes] = field(default_factory=dict)
    bytes: int = 0
    passed_over: PassedOver = field(default_factory=PassedOver)
    tables: list[Parts] = field(default_factory=list)


def unpack(archive: Path, into: Path, bounds: Bounds, watch: Watch = lambda _: None) -> Unpacked:
    """Write the archive's pictures, and Parquet files of them, to the folder `into`, which is made.

    Whether a file is a picture is told by its name's ending; it is not read as one.

    Raises:
        ArchiveRefused: it is damaged or encrypted, holds links, devices, paths that lead elsewhere, a path twice, or
            more than the bounds.
        OSError: there is no room.
    """
    return _Unpacking(into, bounds, bounds.bytes_for(archive.stat().st_size)).all_of(archive, watch)


class _Unpacking:
    def __init__(self, into: Path, bounds: Bounds, most_bytes: int) -> None:
        self._into = into
        self._bounds = bounds
        self._most_bytes = most_bytes
        self._entries = 0
        self._found = Unpacked(into)
        self._made: set[Parts] = set()
        self._folders: set[Parts] = set()

    def all_of(self, archive: Path, watch: Watch) -> Unpacked:
        self._into.mkdir(parents=True)
        for entry in entries(archive, self._most_bytes):
            self._entries += 1
            if self._entries > self._bounds.most_entries:
                raise ArchiveRefused(f"The archive holds more than {self._bounds.most_entries:,} files and folders.")
            self._take(entry, checked(entry.name, self._bounds))
            watch(self._entries)
        self._found.passed_over.skip_bare(self._folders, [*self._found.pictures, *self._found.tables])
        return self._found

    def _take(self, entry: Entry, parts: Parts) -> None:
        if entry.kind in ("link", "other"):
            what = "a link" if entry.kind == "link" else "what is no plain file"
            raise ArchiveRefused(
                f"The archive holds {what} ({shown(entry.name)}), and may hold files and folders only. "
                "tar takes files in the place of links with --dereference."
            )
        reason = next((told for part in parts if (told := clutter(part))), None)
        if reason is None:
            self._folders.add(parts if entry.kind == "folder" else parts[:-1])
        if entry.kind == "folder" or not parts:
            return
        is_table = split_of(parts[-1]) is not None
        reason = reason or (None if is_table else no_picture(parts[-1], "file"))
        if reason is None and not is_text(parts[-1]):
            reason = "with a name that is not UTF-8 or holds control characters"
        if reason is not None:
            self._found.passed_over.skip(reason, entry.name)
            return
        if parts in self._found.pictures or parts in self._found.tables:
            raise ArchiveRefused(f"The archive holds {shown(entry.name)} twice.")
        sha256 = self._write(entry, parts)
        if is_table:
            self._found.tables.append(parts)
        else:
            self._found.pictures[parts] = sha256

    def _write(self, entry: Entry, parts: Parts) -> bytes:
        """Write a file; its sha256."""
        sha256 = hashlib.sha256()
        try:
            self._make_folder(parts[:-1])
            # Never over a file that is there: on some file systems two names are one.
            with self._into.joinpath(*parts).open("xb") as file:
                for piece in entry.read():
                    self._found.bytes += len(piece)
                    if self._found.bytes > self._most_bytes:
                        raise too_many_bytes(self._most_bytes)
                    sha256.update(piece)
                    file.write(piece)
        except (FileExistsError, NotADirectoryError) as error:
            raise ArchiveRefused(f"The archive holds {shown(entry.name)} and another of that name.") from error
        return sha256.digest()

    def _make_folder(self, parts: Parts) -> None:
        if parts not in self._made:
            self._into.joinpath(*parts).mkdir(parents=True, exist_ok=True)
            self._made.add(parts)

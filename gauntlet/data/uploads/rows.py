"""The pictures in an archive's Parquet files (Hugging Face's layout), written out as if the archive had held them."""

import hashlib
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from gauntlet.checks.names import is_text, shown
from gauntlet.data.decoded.picture_files import FORMATS, examine
from gauntlet.data.sets.parquet import ParquetSplit, list_tables, split_of
from gauntlet.data.sets.walk import TooManyEntries, clutter
from gauntlet.data.uploads.bounds import Bounds
from gauntlet.data.uploads.entries import too_many_bytes
from gauntlet.data.uploads.unpacking import Parts, Unpacked
from gauntlet.errors import ArchiveRefused, DatasetUnavailable, PictureUnreadable
from gauntlet.spec.asked.uploads import SplitDraw
from gauntlet.spec.kinds import SPLITS, Split

# Told of every picture: how many so far.
Watch = Callable[[int], None]
_CHOICE = "keep one of them (remove_columns of Hugging Face's datasets)"
_LONGEST_NAME = 255


def unpack_rows(
    unpacked: Unpacked, into: Path, draw: SplitDraw | None, bounds: Bounds, most_bytes: int, watch: Watch
) -> Unpacked:
    """What was unpacked, or where that holds Parquet files, their pictures by split and class in the folder `into`.

    They lie as arrangement wants them: in `<split>/<class>/`, and with a `draw` of training files alone in `<class>/`.
    What is a picture by itself then is passed over. Bytes and pictures count as the archive's own.

    Raises:
        ArchiveRefused: the files are damaged, no data set, or hold more than the bounds.
        OSError: there is no room.
    """
    if not unpacked.tables:
        return unpacked
    for parts in unpacked.pictures:
        unpacked.passed_over.skip("beside Parquet files", "/".join(parts))
    try:
        splits = _listed(unpacked, draw, bounds)
        within = draw is None or len(splits) > 1
        writing = _Writing(unpacked, into, most_bytes, watch)
        for split, found in splits.items():
            writing.all_of(found, (split,) if within else ())
    except DatasetUnavailable as error:
        raise ArchiveRefused(str(error)) from error
    return writing.written


def _listed(unpacked: Unpacked, draw: SplitDraw | None, bounds: Bounds) -> Mapping[Split, ParquetSplit]:
    """The splits of the one folder that has Parquet files."""
    first, *others = sorted({parts[:-1] for parts in unpacked.tables})
    if others:
        raise ArchiveRefused(
            f"The archive holds Parquet files in several folders, {_named(first)} and {_named(others[0])}: pack one."
        )
    there = {split_of(parts[-1]) for parts in unpacked.tables}
    wanted: Sequence[Split] = SPLITS if draw is None or "test" in there else ("train",)
    try:
        listing = list_tables(
            unpacked.folder.joinpath(*first), "the archive", wanted, choice=_CHOICE, most_rows=bounds.most_entries
        )
    except TooManyEntries as error:
        raise _too_many(bounds) from error
    if listing.faults:
        told = " Or say with test_fraction how much of training is for test." if there == {"train"} else ""
        raise ArchiveRefused(" ".join(listing.faults) + told)
    if sum(len(found.labels) for found in listing.splits.values()) > bounds.most_entries:
        raise _too_many(bounds)
    return listing.splits


class _Writing:
    def __init__(self, unpacked: Unpacked, into: Path, most_bytes: int, watch: Watch) -> None:
        self.written = Unpacked(into, bytes=unpacked.bytes, passed_over=unpacked.passed_over)
        self._most_bytes = most_bytes
        self._watch = watch

    def all_of(self, found: ParquetSplit, above: Parts) -> None:
        """Write the split's pictures into folders of their classes below `above`."""
        folders = [(*above, name) for name in _as_folders(found.classes)]
        for parts in folders:
            self.written.folder.joinpath(*parts).mkdir(parents=True)
        for row, name, content in found.pictures(np.arange(len(found.labels))):
            if content is None:
                self.written.passed_over.skip("rows without a picture", name)
                continue
            self._write((*folders[int(found.labels[row])], f"{row:07d}{_suffix(content)}"), content)

    def _write(self, parts: Parts, content: bytes) -> None:
        self.written.bytes += len(content)
        if self.written.bytes > self._most_bytes:
            raise too_many_bytes(self._most_bytes)
        self.written.folder.joinpath(*parts).write_bytes(content)
        self.written.pictures[parts] = hashlib.sha256(content).digest()
        self._watch(len(self.written.pictures))


def _as_folders(classes: Sequence[str]) -> list[str]:
    """The classes' names, letters composed, each of which can be a folder's."""
    names = [unicodedata.normalize("NFC", name) for name in classes]
    for name in names:
        impossible = not name or "/" in name or name in (".", "..") or len(name.encode()) > _LONGEST_NAME
        if impossible or not is_text(name) or clutter(name):
            raise ArchiveRefused(f"A class is called {shown(name)}, as no folder of pictures can be: rename it.")
    if len(set(names)) < len(names):
        raise ArchiveRefused("The names of two classes are the same letters, coded differently: rename one.")
    return names


def _suffix(content: bytes) -> str:
    """The ending of a picture's file; what is none is told when it is read, by any name."""
    try:
        return FORMATS[examine(content).format][0]
    except PictureUnreadable:
        return ".png"


def _named(folder: Parts) -> str:
    return shown("/".join(folder)) if folder else "its outermost one"


def _too_many(bounds: Bounds) -> ArchiveRefused:
    return ArchiveRefused(f"The archive's Parquet files hold more than {bounds.most_entries:,} pictures.")

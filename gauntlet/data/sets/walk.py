"""Going through the folders of a split: what is a picture, and what is passed over for which reason. No torch."""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from gauntlet.checks.description import Skipped
from gauntlet.checks.names import shown
from gauntlet.data.decoded.picture_files import SUFFIXES

# By a file's name only; what it holds is told when it is read.
_OTHER_PICTURES = frozenset(
    {".avif", ".cr2", ".dng", ".eps", ".gif", ".heic", ".heif", ".ico", ".jfif", ".jp2", ".jxl", ".nef", ".psd"}
    | {".raw", ".svg", ".tga"}
)
# What archives and systems leave behind.
_LEFTOVERS = frozenset({"__MACOSX", "__pycache__", "@eaDir", "lost+found", "$RECYCLE.BIN", "System Volume Information"})
_EXAMPLES = 3
_MOST_REASONS = 20
_LONGEST_SUFFIX = 12

# A folder's device and inode: the same behind every link to it.
_Identity = tuple[int, int]


class TooManyEntries(Exception):
    """There are more files and folders than were to be looked at."""


@dataclass
class PassedOver:
    """What was passed over, counted by reason."""

    _skipped: dict[str, list[str]] = field(default_factory=dict)
    _counts: dict[str, int] = field(default_factory=dict)

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """What was passed over, by reason."""
        return tuple(
            Skipped(reason=reason, entries=self._counts[reason], examples=tuple(examples))
            for reason, examples in self._skipped.items()
        )

    def skip(self, reason: str, path: str) -> None:
        """Note that a file or folder was passed over."""
        if reason not in self._counts and len(self._counts) >= _MOST_REASONS:
            reason = "of other kinds"
        self._counts[reason] = self._counts.get(reason, 0) + 1
        examples = self._skipped.setdefault(reason, [])
        if len(examples) < _EXAMPLES:
            examples.append(shown(path))

    def skip_bare(self, folders: Iterable[tuple[str, ...]], pictures: Iterable[tuple[str, ...]]) -> None:
        """Note the folders that hold no picture, of those within each other the outermost; all as parts of paths."""
        holding = {parts[:depth] for parts in pictures for depth in range(len(parts))}
        outermost = (
            next((parts[:depth] for depth in range(1, len(parts) + 1) if parts[:depth] not in holding), None)
            for parts in folders
        )
        for bare in sorted({parts for parts in outermost if parts is not None}):
            self.skip("without a picture, and so no class", "/".join(bare))


@dataclass
class SplitFound(PassedOver):
    """The pictures of each class, as paths below the split, in order; what was passed over; what could not be seen."""

    classes: dict[str, list[str]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)


class Walk:
    """Goes through splits, and counts their entries against a bound."""

    def __init__(self, most_entries: int | None) -> None:
        self._most = most_entries
        self._seen = 0

    def split(self, folder: Path, name: str) -> SplitFound:
        """All of the split in `folder`, which messages call `name`.

        Raises:
            TooManyEntries: with this split there are more entries than the bound.
        """
        found = SplitFound()
        for entry in self._entries(folder, name, found):
            if reason := clutter(entry.name):
                found.skip(reason, entry.name)
            elif _kind(entry) == "folder":
                found.classes[entry.name] = self._pictures(folder, entry.name, name, found)
            else:
                found.skip("outside of a class folder", entry.name)
        return found

    def _pictures(self, split: Path, label: str, name: str, found: SplitFound) -> list[str]:
        """The pictures of a class: folder by folder, sorted by path, as torchvision's ImageFolder has them."""
        by_folder: dict[str, list[str]] = {}
        waiting: list[tuple[str, frozenset[_Identity]]] = [(label, frozenset())]
        while waiting:
            below, above = waiting.pop()
            identity = _identity(split / below)
            if identity in above:
                found.skip("links back to a folder above", below)
                continue
            by_folder[below] = []
            for entry in self._entries(split / below, f"{name}/{below}", found):
                path = f"{below}/{entry.name}"
                kind = _kind(entry)
                if reason := clutter(entry.name):
                    found.skip(reason, path)
                elif kind == "folder":
                    waiting.append((path, above | {identity}))
                elif reason := no_picture(entry.name, kind):
                    found.skip(reason, path)
                else:
                    by_folder[below].append(path)
        return [path for _, paths in sorted(by_folder.items()) for path in paths]

    def _entries(self, folder: Path, name: str, found: SplitFound) -> list["os.DirEntry[str]"]:
        """What lies in a folder, sorted by name."""
        entries = []
        try:
            with os.scandir(folder) as listing:
                for entry in listing:
                    self._seen += 1
                    if self._most is not None and self._seen > self._most:
                        raise TooManyEntries
                    entries.append(entry)
        except OSError as error:
            found.faults.append(f"The folder {shown(name)} cannot be listed: {error.strerror}.")
        return sorted(entries, key=lambda entry: entry.name)


def _identity(folder: Path) -> _Identity:
    state = folder.stat()
    return state.st_dev, state.st_ino


def clutter(name: str) -> str | None:
    """Why an entry of that name is nobody's picture or class."""
    if name.startswith("."):
        return "hidden"
    return "left by an archive or a system" if name in _LEFTOVERS else None


def _kind(entry: "os.DirEntry[str]") -> str:
    """`folder`, `file`, or `other`: a pipe, a device, a socket. A link that leads nowhere counts as the file it was."""
    try:
        if entry.is_dir():
            return "folder"
        if entry.is_file() or (entry.is_symlink() and not Path(entry.path).exists()):
            return "file"
    except OSError:
        return "file"
    return "other"


def no_picture(name: str, kind: str) -> str | None:
    """Why a file is not read as a picture, by its name; None where it is."""
    if kind == "other":
        return "no plain files"
    lowered = name.lower()
    if lowered.endswith(SUFFIXES):
        return None
    suffix = shown(Path(lowered).suffix)[:_LONGEST_SUFFIX]
    if suffix in _OTHER_PICTURES:
        return f"{suffix}, which is not read: convert them to PNG or JPEG"
    return f"{suffix or 'without a suffix'}, no pictures"

"""Pictures read from their files one by one, and counted: damaged ones, doubles, those not square. No torch."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from gauntlet.checks.description import (
    DatasetDescription,
    PicturesRead,
    Repeated,
    SplitDescription,
    Unreadable,
)
from gauntlet.checks.names import shown
from gauntlet.data.decoded.pictures import Picture, content_of, read_picture
from gauntlet.errors import PictureUnreadable
from gauntlet.spec.kinds import Fit, Split

# A description names so many, and counts the rest.
_MOST_NAMED = 1_000
_MOST_TOLD = 50
_EXAMPLES = 3


class Tally:
    """What reading one split has shown so far. Images are the same where their files are, byte for byte."""

    def __init__(self) -> None:
        self._unreadable: list[Unreadable] = []
        self._unreadable_files = 0
        self._not_square = 0
        self._levels_cut = 0
        self._first: dict[bytes, str] = {}
        self._repeated: list[tuple[str, str]] = []
        self._images = 0
        self._sha256 = hashlib.sha256()

    def add(self, name: str, content: bytes | memoryview, *, square: bool = True, levels_cut: bool = False) -> None:
        """Count an image that was read."""
        digest = hashlib.blake2b(content, digest_size=16).digest()
        first = self._first.setdefault(digest, name)
        if first != name:
            self._repeated.append((name, first))
        self._images += 1
        self._not_square += not square
        self._levels_cut += levels_cut
        self._sha256.update(digest)

    def miss(self, name: str, why: str) -> None:
        """Count one that could not be read."""
        self._unreadable_files += 1
        if len(self._unreadable) < _MOST_NAMED:
            self._unreadable.append(Unreadable(path=shown(name), why=why))

    def read(self) -> PicturesRead:
        """What was counted."""
        return PicturesRead(
            images=self._images,
            unreadable_files=self._unreadable_files,
            unreadable=tuple(self._unreadable),
            not_square=self._not_square,
            levels_cut=self._levels_cut,
            repeated=_repeated(self._repeated),
            sha256=self._sha256.hexdigest(),
        )

    def also_in(self, other: "Tally") -> Repeated:
        """Images of this split that are in another too, as often as they are here."""
        there = other._first  # noqa: SLF001  # of its own class
        ours = {name: there[digest] for digest, name in self._first.items() if digest in there}
        again = {name: ours[first] for name, first in self._repeated if first in ours}
        return _repeated([*ours.items(), *again.items()])


def _repeated(pairs: list[tuple[str, str]]) -> Repeated:
    examples = tuple(f"{shown(name)} is {shown(first)}" for name, first in pairs[:_EXAMPLES])
    return Repeated(images=len(pairs), examples=examples)


def read_pictures(folder: Path, name: str, paths: Iterable[str], tally: Tally) -> Iterator[tuple[int, Picture]]:
    """The pictures at `paths` below `folder`, each with its position; those that cannot be read are counted only.

    `name` is what the tally calls the folder.
    """
    for position, path in enumerate(paths):
        try:
            content = content_of(folder / path)
        except PictureUnreadable as error:
            tally.miss(f"{name}/{path}", why_unreadable(error))
            continue
        if picture := taken_in(f"{name}/{path}", content, tally):
            yield position, picture


def taken_in(name: str, content: bytes | None, tally: Tally) -> Picture | None:
    """The picture in a file's content, counted by its name; None where it cannot be read, or there is none."""
    if content is None:
        tally.miss(name, "it holds no picture")
        return None
    try:
        picture = read_picture(content)
    except PictureUnreadable as error:
        tally.miss(name, why_unreadable(error))
        return None
    tally.add(name, content, square=picture.width == picture.height, levels_cut=picture.levels_cut)
    return picture


def why_unreadable(error: PictureUnreadable) -> str:
    """The sentence as a part of another."""
    told = str(error).removesuffix(".")
    return told[0].lower() + told[1:]


@dataclass(frozen=True)
class SeenSplit:
    """A split as it lies there, and what reading it has shown."""

    listed: SplitDescription
    tally: Tally

    def describe(self) -> SplitDescription:
        """Both in one."""
        return self.listed.model_copy(update={"read": self.tally.read()})


def describe_seen(
    dataset: str,
    seen: Mapping[Split, SeenSplit],
    *,
    fit: Fit = "stretch",
    unused: tuple[str, ...] = (),
    notes: tuple[str, ...] = (),
    faults: tuple[str, ...] = (),
) -> DatasetDescription:
    """The description of a data set that was read; files that cannot be read are added to its faults."""
    splits = {split: each.describe() for split, each in seen.items()}
    both = "train" in seen and "test" in seen
    damaged = tuple(
        _damaged(split, each.read) for split, each in splits.items() if each.read and each.read.unreadable_files
    )
    return DatasetDescription(
        dataset=dataset,
        train=splits.get("train"),
        test=splits.get("test"),
        unused=unused,
        in_both=seen["test"].tally.also_in(seen["train"].tally) if both else None,
        fit=fit,
        notes=notes,
        faults=faults + damaged,
    )


def _damaged(split: Split, read: PicturesRead) -> str:
    named = ", ".join(f"{each.path} ({each.why})" for each in read.unreadable[:_MOST_TOLD])
    rest = read.unreadable_files - len(read.unreadable[:_MOST_TOLD])
    more = f" and {rest:,} more" if rest else ""
    images = "training" if split == "train" else split
    return f"{read.unreadable_files:,} of the {images} images cannot be read: {named}{more}. Repair or remove them."

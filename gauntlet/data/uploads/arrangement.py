"""Which of an archive's pictures are for training and which for test: as its folders say, or drawn by content."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from gauntlet.checks.names import listed, shown
from gauntlet.data.sets.folders import split_meant_by
from gauntlet.errors import ArchiveRefused
from gauntlet.spec.asked.uploads import SplitDraw
from gauntlet.spec.kinds import SPLITS, Split

Parts = tuple[str, ...]


@dataclass(frozen=True)
class Placed:
    """A picture's place in the data set, `<split>/<class>/…`, from its parts in the archive."""

    split: Split
    parts: Parts


def arrange(pictures: Mapping[Parts, bytes], draw: SplitDraw | None) -> dict[Parts, Placed]:
    """Where each picture goes; `pictures` have their contents' sha256.

    Folders around everything are taken off. With a `draw` what remains are class folders, and of each class the share
    that is drawn is for test; without one it is `train` and `test`. What lies in neither is left out.

    Raises:
        ArchiveRefused: there are no pictures, or no such folders.
    """
    if not pictures:
        raise ArchiveRefused("The archive holds no picture, by the endings of its files' names.")
    around = _around(list(pictures), draw)
    inner = {parts: parts[len(around) :] for parts in pictures}
    names = sorted({parts[0] for parts in inner.values() if len(parts) > 1})
    if draw is None:
        _require_splits(names)
        placed = {
            parts: Placed(split, rest[1:])
            for parts, rest in inner.items()
            for split in SPLITS
            if rest[0] == split and len(rest) > 2  # noqa: PLR2004  # split, class, name
        }
    else:
        _refuse_splits(names)
        in_classes = {parts: rest for parts, rest in inner.items() if len(rest) > 1}
        for_test = set(_drawn({rest: pictures[parts] for parts, rest in in_classes.items()}, draw))
        placed = {parts: Placed("test" if rest in for_test else "train", rest) for parts, rest in in_classes.items()}
    _refuse_alike({place.parts[0] for place in placed.values()})
    return placed


def _around(paths: Sequence[Parts], draw: SplitDraw | None) -> Parts:
    """The folders that everything lies in and that are no split."""
    first = paths[0]
    for depth, name in enumerate(first[:-1]):
        is_a_split = draw is None and split_meant_by(name) is not None
        if is_a_split or any(len(parts) <= depth + 1 or parts[depth] != name for parts in paths):
            return first[:depth]
    # One class of one picture; told as what it is.
    return ()


def _require_splits(names: Sequence[str]) -> None:
    missing = [split for split in SPLITS if split not in names]
    if not missing:
        return
    told = f"The archive has no folder {' and no folder '.join(missing)}"
    if meant := next((name for name in names for split in missing if split_meant_by(name) == split), None):
        raise ArchiveRefused(f"{told}, but {shown(meant)}: rename it to {split_meant_by(meant)}.")
    there = f"; there {'is' if len(names) == 1 else 'are'} {listed(names)}" if names else ""
    raise ArchiveRefused(
        f"{told}{there}. If these are the classes, say with test_fraction how much of each is for test."
    )


def _refuse_splits(names: Sequence[str]) -> None:
    splits = [name for name in names if split_meant_by(name) is not None]
    # One alone may be a class, such as the train among vehicles.
    if {split_meant_by(name) for name in splits} == set(SPLITS):
        raise ArchiveRefused(
            f"The archive has folders for training and test already ({listed(splits)}): leave test_fraction out, or "
            "pack the class folders alone."
        )
    if not names:
        raise ArchiveRefused("The archive has no class folders: pictures lie in CLASS/.")


def _refuse_alike(classes: set[str]) -> None:
    for _, alike in groupby(sorted(classes, key=lambda name: (name.casefold(), name)), key=str.casefold):
        names = list(alike)
        if len(names) > 1:
            raise ArchiveRefused(f"The names of the classes {listed(names)} differ in capitals only: rename one.")


def _drawn(pictures: Mapping[Parts, bytes], draw: SplitDraw) -> Iterator[Parts]:
    """The pictures for test: by class, in an order that their contents and the seed alone decide.

    Pictures of one content stay together, so that none is in both; those that lie in several classes are for training.
    """
    by_class: dict[str, dict[bytes, list[Parts]]] = {}
    for parts, content in sorted(pictures.items()):
        by_class.setdefault(parts[0], {}).setdefault(content, []).append(parts)
    classes_of = Counter(content for contents in by_class.values() for content in contents)
    for name, contents in by_class.items():
        own = [content for content in contents if classes_of[content] == 1]
        if len(contents) == 1:
            raise ArchiveRefused(f"There is only one picture of the class {shown(name)}: none would be left for test.")
        if not own:
            raise ArchiveRefused(
                f"All pictures of the class {shown(name)} lie in other classes too: none would be left for test."
            )
        images = sum(map(len, contents.values()))
        wanted = min(max(round(images * draw.test_fraction), 1), images - 1)
        taken = 0
        for content in sorted(own, key=lambda content: _rank(content, draw.seed))[: len(contents) - 1]:
            if taken >= wanted:
                break
            taken += len(contents[content])
            yield from contents[content]


def _rank(content: bytes, seed: int) -> bytes:
    return hashlib.sha256(b"test %d " % seed + content).digest()

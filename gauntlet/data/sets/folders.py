"""Image folders as they lie on the disk, listed and not read: which files are pictures of which class. No torch.

`<folder>/<train|test>/<class>/…/<picture>`: the folders of a split are its classes, and pictures may lie deeper.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from gauntlet.checks.classes import unlike_classes
from gauntlet.checks.description import ClassImages, DatasetDescription, Skipped, SplitDescription
from gauntlet.checks.names import is_text, listed, shown
from gauntlet.checks.sentences import passed_over
from gauntlet.data.sets.walk import Walk
from gauntlet.spec.checkpoint_card import MOST_CLASSES
from gauntlet.spec.kinds import SPLITS, Split
from gauntlet.spec.reading.messages import nearest

# Where the pictures of an uploaded data set lie in its folder, which is published as a whole.
IMAGES = "content/images"

_FEWEST_CLASSES = 2
# What others call the splits.
_OTHER_NAMES: dict[Split, frozenset[str]] = {
    "train": frozenset({"training", "trn", "train_set", "trainset"}),
    "test": frozenset({"val", "valid", "validation", "dev", "eval", "testing", "tst", "test_set", "testset"}),
}


@dataclass(frozen=True)
class SplitListing:
    """One split's pictures, (path below `folder`, label), class by class in the order of torchvision's ImageFolder.

    A label is a position in `classes`, which are sorted. `faults` are sentences.
    """

    name: str
    folder: Path
    classes: tuple[str, ...]
    files: tuple[tuple[str, int], ...]
    skipped: tuple[Skipped, ...]
    faults: tuple[str, ...]

    @property
    def labels(self) -> npt.NDArray[np.int64]:
        """Of the files in their order, int64 [files]."""
        return np.array([label for _, label in self.files], dtype=np.int64)

    def describe(self) -> SplitDescription:
        """The split as it was listed."""
        images = [0] * len(self.classes)
        for _, label in self.files:
            images[label] += 1
        pairs = zip(self.classes, images, strict=True)
        return SplitDescription(
            classes=tuple(ClassImages(name=_text(name), images=count) for name, count in pairs), skipped=self.skipped
        )


class Listed(Protocol):
    """A split that was listed, whatever holds its pictures."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Their names; a label is a position among them."""

    def describe(self) -> SplitDescription:
        """The split as it was listed."""


Split_co = TypeVar("Split_co", bound=Listed, covariant=True)


@dataclass(frozen=True)
class FolderListing(Generic[Split_co]):
    """A folder of images: its splits as far as they are there, what lies beside them, all that makes it unusable."""

    splits: Mapping[Split, Split_co]
    unused: tuple[str, ...]
    faults: tuple[str, ...]

    def describe(self, dataset: str) -> DatasetDescription:
        """The folder as it was listed; `dataset` is what it is called."""
        splits = {split: found.describe() for split, found in self.splits.items()}
        return DatasetDescription(
            dataset=dataset,
            train=splits.get("train"),
            test=splits.get("test"),
            unused=self.unused,
            faults=self.faults,
        )


def list_folder(
    data_root: Path, folder: str, splits: Sequence[Split] = SPLITS, *, most_entries: int | None = None
) -> FolderListing[SplitListing]:
    """List the splits of the image folder below `data_root`.

    Raises:
        TooManyEntries: it has more than `most_entries` files and folders.
    """
    root = data_root / folder
    if unread := not_to_be_read(root, folder):
        return FolderListing({}, (), (unread,))
    if folders_in(root) is None:
        return FolderListing({}, (), (no_such_folder(data_root, folder),))
    return list_splits(root, folder, splits, most_entries=most_entries)


def list_uploaded(storage: Path, identifier: str, splits: Sequence[Split] = SPLITS) -> FolderListing[SplitListing]:
    """List the splits of the uploaded data set with that id, whose pictures lie below `storage`."""
    root = storage / identifier / IMAGES
    if not root.is_dir():
        gone = f"The images of the data set {identifier} are not in the storage: it was deleted, or is not ready yet."
        return FolderListing({}, (), (gone,))
    return list_splits(root, "", splits)


def list_splits(
    root: Path, name: str, splits: Sequence[Split] = SPLITS, *, most_entries: int | None = None
) -> FolderListing[SplitListing]:
    """List the splits in a folder that is there, which sentences call `name`; without one they name the split alone.

    Raises:
        TooManyEntries: it has more than `most_entries` files and folders.
    """
    beside = folders_in(root) or []
    walk = Walk(most_entries)
    found = {
        split: _list_split(root / split, f"{name}/{split}" if name else split, walk)
        for split in splits
        if split in beside
    }
    faults = [_no_such_split(name or "the data set", split, beside) for split in splits if split not in found]
    faults += [fault for listing in found.values() for fault in listing.faults]
    if len(found) == len(SPLITS):
        train, test = found["train"], found["test"]
        if unlike := unlike_classes(train.name, train.classes, test.name, test.classes):
            faults.append(unlike)
    unused = tuple(shown(name) for name in beside if name not in SPLITS)
    return FolderListing(found, unused, tuple(faults))


def _list_split(folder: Path, name: str, walk: Walk) -> SplitListing:
    """One split, whose folder is there."""
    split = walk.split(folder, name)
    files = tuple((path, label) for label, paths in enumerate(split.classes.values()) for path in paths)
    faults = (*split.faults, *_faults(name, split.classes, split.skipped))
    return SplitListing(name, folder, tuple(split.classes), files, split.skipped, faults)


def _faults(name: str, classes: dict[str, list[str]], skipped: Sequence[Skipped]) -> Iterator[str]:
    if not classes:
        yield f"There is no class folder in {name}: pictures lie in {name}/CLASS/."
    elif len(classes) < _FEWEST_CLASSES:
        yield f"There is only one class, {listed(list(classes))}, in {name}; a classifier needs at least two."
    elif len(classes) > MOST_CLASSES:
        yield f"There are {len(classes):,} classes in {name}; there may be at most {MOST_CLASSES:,}."
    if empty := [each for each, files in classes.items() if not files]:
        why = f" Passed over: {passed_over(skipped)}." if skipped else ""
        yield f"There is no picture of {_class(empty)} in {name}.{why}"
    if unprintable := [each for each in classes if not is_text(each)]:
        yield (
            f"The name of {_class(unprintable)} in {name} is not UTF-8 or holds a control character: rename the folder."
        )


def _text(name: str) -> str:
    return name if is_text(name) else shown(name)


def _class(names: Sequence[str]) -> str:
    return f"the {'class' if len(names) == 1 else 'classes'} {listed(names)}"


def folders_in(root: Path) -> list[str] | None:
    """The names of the folders in `root`, sorted and without hidden ones; None where it is no folder to be listed."""
    try:
        with os.scandir(root) as entries:
            return sorted(entry.name for entry in entries if not entry.name.startswith(".") and _is_folder(entry))
    except OSError:
        return None


def not_to_be_read(folder: Path, name: str) -> str | None:
    """The sentence of a folder that this process may not list or look into; None of any other, and where is none."""
    try:
        os.scandir(folder).close()
        # Needs what any file in it does.
        os.stat(f"{folder}/.")  # noqa: PTH116  # a Path has no such dot
    except PermissionError as error:
        return f"The folder {shown(name)} cannot be read: {error.strerror}."
    except OSError:
        return None
    return None


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:
        # A link to where nobody may look is none of the others' matter.
        return False


def split_meant_by(name: str) -> Split | None:
    """The split that a folder of that name holds, also by the names that others have for it."""
    return next((split for split in SPLITS if name.casefold() in {split} | _OTHER_NAMES[split]), None)


def no_such_folder(data_root: Path, folder: str) -> str:
    """The sentence of a folder that is not below the data root, with what is."""
    there = folders_in(data_root)
    if there is None:
        return f"There is no data root, so no folder {folder}: put it below HOME/data, or set GAUNTLET_DATA_ROOT."
    if alike := nearest(folder, there):
        return f"There is no folder {folder} among the data sets; did you mean {shown(alike)}?"
    return f"There is no folder {folder} among the data sets; there {_are(there)}."


def _no_such_split(folder: str, split: Split, beside: Sequence[str]) -> str:
    told = f"There is no folder {split} in {folder}"
    other = next((name for name in beside if split_meant_by(name) == split), None)
    if other is not None:
        return f"{told}, but {shown(other)}: rename it to {split}, or make a link of that name."
    if folder in beside:
        return f"{told}, but another {folder}: move what is in it up."
    return f"{told}; there {_are(beside)}."


def _are(names: Sequence[str]) -> str:
    if not names:
        return "is no folder at all"
    return f"{'is' if len(names) == 1 else 'are'} {listed(names)}"

"""Data sets in Parquet as Hugging Face lays them out, listed, and read row group by row group. No torch.

`<folder>/[data/]<split>-00000-of-00001.parquet`: a column of pictures, each with its file's `bytes`, and one of labels.
The files' metadata says which columns these are, and what the classes are called.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gauntlet.checks.classes import unlike_classes
from gauntlet.checks.description import ClassImages, SplitDescription
from gauntlet.checks.names import is_text, listed, shown
from gauntlet.data.sets.folders import FolderListing, no_such_folder, not_to_be_read, split_meant_by
from gauntlet.data.sets.walk import TooManyEntries
from gauntlet.errors import DatasetUnavailable
from gauntlet.extras import needed
from gauntlet.spec.checkpoint_card import MOST_CLASSES
from gauntlet.spec.kinds import SPLITS, Parquet, Split

# Hugging Face writes 100 pictures a row group, or a few hundred megabytes; one is in memory at a time.
_MOST_GROUP_BYTES = 1 << 30
_ROWS_AT_ONCE = 64
_BYTES_AT_ONCE = 64 << 20
_BUFFER = 1 << 20
_FEWEST_CLASSES = 2
_FILE = re.compile(r"(?P<split>[^.]+?)(-(?P<part>\d{5})-of-(?P<parts>\d{5})(-[0-9a-f]+)?)?\.parquet")


@dataclass(frozen=True)
class ParquetSplit:
    """One split's files in order, all with the same columns; `labels` int64 [rows] over all of them."""

    name: str
    files: tuple[Path, ...]
    image: str
    classes: tuple[str, ...]
    labels: npt.NDArray[np.int64]

    def describe(self) -> SplitDescription:
        """The split as it was listed."""
        counts = np.bincount(self.labels, minlength=len(self.classes)).tolist()
        pairs = zip(self.classes, counts, strict=True)
        return SplitDescription(classes=tuple(ClassImages(name=name, images=count) for name, count in pairs))

    def pictures(self, rows: npt.NDArray[np.int64]) -> Iterator[tuple[int, str, bytes | None]]:
        """Those of the rows (ascending), each with its row, a name, and its file's bytes, None where it has none.

        Row groups in which there is none of the rows are not read.

        Raises:
            DatasetUnavailable: a file is damaged.
        """
        start = 0
        for path in self.files:
            with _opened(path) as file:
                for group in range(file.metadata.num_row_groups):
                    stop = start + file.metadata.row_group(group).num_rows
                    wanted = rows[np.searchsorted(rows, start) : np.searchsorted(rows, stop)] - start
                    for row, content in self._of_group(file, group, wanted) if len(wanted) else ():
                        yield start + row, f"{path.name} row {start + row}", content
                    start = stop

    def _of_group(self, file: Any, group: int, wanted: npt.NDArray[np.int64]) -> Iterator[tuple[int, bytes | None]]:
        first, held = 0, file.metadata.row_group(group)
        at_once = min(_ROWS_AT_ONCE, _BYTES_AT_ONCE * held.num_rows // max(held.total_byte_size, 1))
        batches = file.iter_batches(
            max(at_once, 1), row_groups=[group], columns=[f"{self.image}.bytes"], use_threads=False
        )
        for batch in batches:
            contents = batch.column(0).field("bytes")
            for row in wanted[np.searchsorted(wanted, first) : np.searchsorted(wanted, first + len(contents))].tolist():
                yield row, contents[row - first].as_py()
            first += len(contents)


class _opened:  # noqa: N801  # used as a function
    """A Parquet file, read in pieces; what its reader raises is told as one error."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: Any = None

    def __enter__(self) -> Any:
        # Takes a tenth of a second and 60 MB, which no other data set should cost.
        with needed("parquet", "Reading Parquet"):
            import pyarrow as pa
            from pyarrow import parquet

        try:
            self._file = parquet.ParquetFile(self._path, buffer_size=_BUFFER, pre_buffer=False)
        except MemoryError:
            raise
        except (pa.ArrowException, OSError) as error:
            raise DatasetUnavailable(self._damaged) from error
        return self._file

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        import pyarrow as pa

        self._file.close()
        # Arrow's own of memory is both.
        if isinstance(error, pa.ArrowException | OSError) and not isinstance(error, MemoryError):
            raise DatasetUnavailable(self._damaged) from error

    @property
    def _damaged(self) -> str:
        return f"The file {shown(self._path.name)} is no Parquet, or damaged."


@dataclass(frozen=True)
class _Features:
    """What a file's metadata says of its columns: those of pictures, and those of labels with their classes."""

    images: tuple[str, ...]
    labels: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, schema: Any) -> "_Features":
        try:
            features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
            kinds = {name: feature["_type"] for name, feature in features.items() if isinstance(feature, dict)}
            classes = {name: features[name]["names"] for name, kind in kinds.items() if kind == "ClassLabel"}
        except (KeyError, TypeError, ValueError, AttributeError):
            return cls((), {})
        images = tuple(name for name, kind in kinds.items() if kind == "Image")
        return cls(images, {name: tuple(map(str, names)) for name, names in classes.items()})


class _Fault(Exception):
    """What makes a split unusable; a sentence."""


@dataclass(frozen=True)
class _Folder:
    """The Parquet files of a data set by split, as they are called; `choice` is how one column of several is chosen."""

    root: Path
    name: str
    image: str | None = None
    label: str | None = None
    choice: str | None = None

    @cached_property
    def files(self) -> Mapping[str, Sequence[tuple[re.Match[str], Path]]]:
        found: dict[str, list[tuple[re.Match[str], Path]]] = {}
        # A repository's own layout, or the files alone.
        for folder in (self.root, self.root / "data"):
            # Of a folder that cannot be listed there is none.
            for path in sorted(folder.glob("*.parquet")) if not found else ():
                if path.is_file() and (match := _FILE.fullmatch(path.name)):
                    found.setdefault(match["split"], []).append((match, path))
        return found

    def find(self, split: Split, most_rows: int | None) -> ParquetSplit:
        name = f"{split} of {self.name}"
        files = [path for _, path in self._whole(split)]
        image, classes = "", tuple[str, ...]()
        labels: list[npt.NDArray[np.int64]] = []
        for path in files:
            with _opened(path) as file:
                if most_rows is not None and file.metadata.num_rows > most_rows:
                    raise TooManyEntries
                _require_small_groups(path, file.metadata)
                column, named = self._columns(path, file.schema_arrow)
                if labels and (column != image or named[1] != classes):
                    raise _Fault(f"The columns or classes of {shown(path.name)} are not those of {files[0].name}.")
                image, (label, classes) = column, named
                labels.append(_labels(path, file, label, len(classes)))
        _require_classes(name, classes)
        return ParquetSplit(name, tuple(files), image, classes, np.concatenate(labels))

    def _whole(self, split: Split) -> Sequence[tuple[re.Match[str], Path]]:
        """The split's files, of which none is missing."""
        found = self.files.get(split)
        if not found:
            other = next((name for name in self.files if split_meant_by(name) == split), None)
            there = (
                f"but files of {shown(other)}: rename them" if other else f"there are files of {listed([*self.files])}"
            )
            raise _Fault(
                f"There is no {split}-00000-of-00001.parquet in {self.name} or its folder data, {there}."
                if self.files
                else f"There is no Parquet file in {self.name} or its folder data: they are called "
                f"train-00000-of-00001.parquet and test-00000-of-00001.parquet."
            )
        parts = {match["parts"] for match, _ in found}
        numbers = sorted(int(match["part"] or 0) for match, _ in found)
        expected = int(next(iter(parts)) or 1)
        if len(parts) > 1 or numbers != list(range(expected)):
            raise _Fault(f"Of {split} in {self.name} there are {len(found)} of {expected} Parquet files.")
        return found

    def _columns(self, path: Path, schema: Any) -> tuple[str, tuple[str, tuple[str, ...]]]:
        """The column of pictures; that of labels and its classes."""
        features = _Features.of(schema)
        image = self._chosen("image", self.image, features.images, path)
        label = self._chosen("label", self.label, tuple(features.labels), path)
        return image, (label, features.labels[label])

    def _chosen(self, what: str, asked: str | None, there: tuple[str, ...], path: Path) -> str:
        choice = self.choice or f"say with {what} which"
        kind = "Image" if what == "image" else "ClassLabel"
        if not there:
            raise _Fault(
                f"The metadata of {shown(path.name)} names no column of kind {kind}: it is written by the to_parquet "
                "or push_to_hub of Hugging Face's datasets."
            )
        if asked is None and len(there) == 1:
            return there[0]
        if asked is None:
            raise _Fault(f"There are several columns of kind {kind} in {shown(path.name)}: {choice}; {listed(there)}.")
        if asked not in there:
            raise _Fault(
                f"There is no column {shown(asked)} of kind {kind} in {shown(path.name)}; there is {listed(there)}."
            )
        return asked


def list_parquet(
    data_root: Path, spec: Parquet, splits: Sequence[Split] = SPLITS, *, most_rows: int | None = None
) -> FolderListing[ParquetSplit]:
    """List the splits of a data set in Parquet below `data_root`; of its rows the labels alone are read.

    Raises:
        TooManyEntries: one of its files has more than `most_rows` rows.
    """
    root = data_root / spec.folder
    for folder, name in ((root, spec.folder), (root / "data", f"{spec.folder}/data")):
        if unread := not_to_be_read(folder, name):
            return FolderListing({}, (), (unread,))
    if not root.is_dir():
        return FolderListing({}, (), (no_such_folder(data_root, spec.folder),))
    return _list(_Folder(root, spec.folder, spec.image, spec.label), splits, most_rows)


def list_tables(
    root: Path, name: str, splits: Sequence[Split], *, choice: str, most_rows: int
) -> FolderListing[ParquetSplit]:
    """List the splits of the Parquet files in the folder `root`, which faults call `name`, of any columns.

    Args:
        choice: what a fault says to do where there are several columns of a kind.

    Raises:
        TooManyEntries: one of its files has more than `most_rows` rows.
    """
    return _list(_Folder(root, name, choice=choice), splits, most_rows)


def _list(folder: _Folder, splits: Sequence[Split], most_rows: int | None) -> FolderListing[ParquetSplit]:
    found, faults = {}, []
    for split in splits:
        try:
            found[split] = folder.find(split, most_rows)
        except (_Fault, DatasetUnavailable) as error:
            faults.append(str(error))
    if len(found) == len(SPLITS):
        train, test = found["train"], found["test"]
        if unlike := unlike_classes(train.name, train.classes, test.name, test.classes):
            faults.append(unlike)
    unused = tuple(shown(name) for name in folder.files if name not in SPLITS)
    return FolderListing(found, unused, tuple(dict.fromkeys(faults)))


def split_of(name: str) -> Split | None:
    """Which split a file of that name holds, or would if it were renamed; None of what is no Parquet of a split."""
    match = _FILE.fullmatch(name)
    if match is None:
        return None
    return next((split for split in SPLITS if match["split"] == split), None) or split_meant_by(match["split"])


def is_parquet(root: Path) -> bool:
    """Whether a folder holds Parquet files as they are called here, as far as this process may look."""
    try:
        return any(_FILE.fullmatch(path.name) for folder in (root, root / "data") for path in folder.glob("*.parquet"))
    except PermissionError:
        return False


def _require_small_groups(path: Path, metadata: Any) -> None:
    most = max((metadata.row_group(group).total_byte_size for group in range(metadata.num_row_groups)), default=0)
    if most > _MOST_GROUP_BYTES:
        raise _Fault(
            f"A row group of {shown(path.name)} has {most:,} bytes, and at most {_MOST_GROUP_BYTES:,} are read at "
            "once: write it with fewer rows in each."
        )


def _require_classes(name: str, classes: Sequence[str]) -> None:
    if not _FEWEST_CLASSES <= len(classes) <= MOST_CLASSES:
        raise _Fault(
            f"There may be {_FEWEST_CLASSES} to {MOST_CLASSES:,} classes, and in {name} "
            f"{'is' if len(classes) == 1 else 'are'} {len(classes):,}."
        )
    if len(set(classes)) < len(classes) or not all(map(is_text, classes)):
        raise _Fault(f"The names of the classes in {name} are not distinct, or hold control characters.")


def _labels(path: Path, file: Any, column: str, classes: int) -> npt.NDArray[np.int64]:
    import pyarrow as pa

    found = file.read(columns=[column], use_threads=False).column(0)
    if not pa.types.is_integer(found.type):
        raise _Fault(f"The labels of {shown(path.name)} are no whole numbers.")
    labels: npt.NDArray[np.int64] = found.cast(pa.int64()).fill_null(-1).to_numpy().astype(np.int64)
    if len(labels) and not 0 <= labels.min() <= labels.max() < classes:
        raise _Fault(
            f"The labels of {shown(path.name)} are {labels.min()} to {labels.max()}, and of {classes} classes they are "
            f"0 to {classes - 1}; -1 is a picture without one."
        )
    return labels

"""Pictures of one's own, whatever holds them: files in folders, or rows of Parquet. No torch."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import assert_never

import numpy as np

from gauntlet.data.decoded.pictures import Picture
from gauntlet.data.reading import Tally, read_pictures, taken_in
from gauntlet.data.sets.folders import FolderListing, SplitListing, list_folder, list_uploaded
from gauntlet.data.sets.parquet import ParquetSplit, list_parquet
from gauntlet.spec.kinds import SPLITS, ImageFolder, OwnPictures, Parquet, Split, Uploaded

PictureSplit = SplitListing | ParquetSplit


def list_pictures(
    spec: OwnPictures, root: Path, splits: Sequence[Split] = SPLITS, *, most_entries: int | None = None
) -> FolderListing[PictureSplit]:
    """What lies there of a data set, listed and not read.

    Raises:
        TooManyEntries: it has more than `most_entries` files, or rows.
    """
    match spec:
        case ImageFolder():
            return list_folder(root, spec.folder, splits, most_entries=most_entries)
        case Uploaded():
            return list_uploaded(root, spec.id, splits)
        case Parquet():
            return list_parquet(root, spec, splits, most_rows=most_entries)
        case _:
            assert_never(spec)


def read_chosen(split: PictureSplit, name: Split, chosen: Sequence[int], tally: Tally) -> Iterator[tuple[int, Picture]]:
    """The pictures of these numbers, each with its place among them; those that cannot be read are counted only.

    Files are read in the order of `chosen`, rows in their own.

    Raises:
        DatasetUnavailable: a Parquet file is damaged.
    """
    match split:
        case SplitListing():
            yield from read_pictures(split.folder, name, [split.files[number][0] for number in chosen], tally)
        case ParquetSplit():
            order = np.argsort(np.asarray(chosen, dtype=np.int64))
            rows = np.asarray(chosen, dtype=np.int64)[order]
            for place, (_, row, content) in zip(order.tolist(), split.pictures(rows), strict=True):
                if picture := taken_in(row, content, tally):
                    yield place, picture
        case _:
            assert_never(split)

"""Whether the test pictures of a folder are still those that were read, byte for byte."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from gauntlet.data.decoded.pictures import content_of
from gauntlet.data.order import shuffled_order
from gauntlet.data.reading import Tally
from gauntlet.data.sets.folders import SplitListing
from gauntlet.data.sources import PictureSplit, list_pictures
from gauntlet.errors import DatasetUnavailable, PictureUnreadable
from gauntlet.spec.kinds import ImageFolder, Parquet


class PictureDigests:
    """What `PicturesRead.sha256` says of folders' test pictures now; read again only where a file has changed."""

    def __init__(self) -> None:
        self._known: dict[Path, tuple[int, str]] = {}

    def of_tests(self, spec: ImageFolder | Parquet, data_root: Path) -> str:
        """The digest.

        Raises:
            DatasetUnavailable: the folder, or a picture, is missing or damaged.
        """
        listing = list_pictures(spec, data_root, ("test",))
        if listing.faults:
            raise DatasetUnavailable(" ".join(listing.faults))
        split = listing.splits["test"]
        try:
            state = hash(tuple(map(_state, _files(split))))
            before, digest = self._known.get(data_root / spec.folder, (None, ""))
            if before != state:
                tally = Tally()
                for content in _contents(split):
                    tally.add("", content)
                digest = tally.read().sha256
                self._known[data_root / spec.folder] = (state, digest)
        except (OSError, PictureUnreadable) as error:
            raise DatasetUnavailable("A picture of the test images cannot be read.") from error
        return digest


def _files(split: PictureSplit) -> list[Path]:
    return [split.folder / path for path, _ in split.files] if isinstance(split, SplitListing) else list(split.files)


def _state(file: Path) -> tuple[str, int, int, int]:
    found = file.stat()
    return str(file), found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _contents(split: PictureSplit) -> Iterator[bytes]:
    """The pictures' files in the order in which `read_chosen` reads them all."""
    if isinstance(split, SplitListing):
        files = _files(split)
        yield from (content_of(files[number]) for number in shuffled_order(len(files)).tolist())
    else:
        yield from (content or b"" for _, _, content in split.pictures(np.arange(len(split.labels))))

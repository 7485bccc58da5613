"""Pictures of one's own decoded, in the order that their set is in. No torch."""

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import PIL

from gauntlet.data.reading import SeenSplit, Tally
from gauntlet.data.sets.folders import FolderListing, SplitListing
from gauntlet.data.sources import PictureSplit, read_chosen
from gauntlet.spec.kinds import OwnPictures, Split

# Told of every picture that was read: how many so far, of how many. It may raise, to read no more.
Watch = Callable[[int, int], None]
Pixels = npt.NDArray[np.uint8]

# Of how pictures become pixels; another number where the same files would become others.
_VERSION = 1


def decode(
    spec: OwnPictures,
    listing: FolderListing[PictureSplit],
    orders: Mapping[Split, Sequence[int]],
    into: Mapping[Split, Pixels] | None,
    watch: Watch,
) -> dict[Split, SeenSplit]:
    """Read the pictures of each split that `orders` names, by their numbers, and tell what was seen of them.

    Args:
        into: uint8 [pictures, channels, height, width] for each split, to be filled; without it nothing is kept.
    """
    channels, height, width = spec.image_shape
    seen: dict[Split, SeenSplit] = {}
    read, total = 0, sum(map(len, orders.values()))
    for split, found in listing.splits.items():
        tally = Tally()
        for number, (place, picture) in enumerate(read_chosen(found, split, orders[split], tally), 1):
            if into is not None:
                into[split][place] = picture.pixels(channels=channels, height=height, width=width, fit=spec.fit)
            watch(read + number, total)
        read += len(orders[split])
        seen[split] = SeenSplit(found.describe(), tally)
    return seen


def key_of(spec: OwnPictures, listing: FolderListing[PictureSplit], orders: Mapping[Split, Sequence[int]]) -> str:
    """sha256 over all that the decoded pixels depend on: which files, as they are now, in which order, read how.

    A file is taken for what it was where its size, inode and times of change are the same: to read it would take as
    long as a disk does. The time of a file's last change in any way (ctime) cannot be set, so a file that was replaced
    under an old date is noticed.
    """
    how = [_VERSION, PIL.__version__, spec.image_shape, spec.fit]
    sha256 = hashlib.sha256(json.dumps(how).encode())
    for split, found in listing.splits.items():
        sha256.update(json.dumps([split, found.classes]).encode())
        sha256.update(np.asarray(orders[split], dtype=np.int64).tobytes())
        sha256.update(found.labels.tobytes())
        match found:
            case SplitListing():
                paths = [found.folder / path for path, _ in found.files]
            case _:
                sha256.update(found.image.encode())
                paths = list(found.files)
        for path in paths:
            sha256.update(b"%s\0%s\n" % (os.fsencode(path), _state(path)))
    return sha256.hexdigest()


def _state(path: Path) -> bytes:
    try:
        found = path.stat()
    except OSError:
        # Told when it is read.
        return b"away"
    return b"%d %d %d %d" % (found.st_size, found.st_ino, found.st_mtime_ns, found.st_ctime_ns)

"""An archive made a data set: unpacked, arranged, every picture read once, described, and shown in a few small ones."""

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from gauntlet.checks.description import DatasetContents, PictureSizes, Thumbnail
from gauntlet.checks.names import shown
from gauntlet.checks.sentences import passed_over
from gauntlet.data.decoded.pictures import Picture, content_of, read_picture
from gauntlet.data.reading import SeenSplit, Tally, describe_seen, why_unreadable
from gauntlet.data.sets.folders import list_splits
from gauntlet.data.uploads.arrangement import Parts, Placed, arrange
from gauntlet.data.uploads.bounds import Bounds
from gauntlet.data.uploads.rows import unpack_rows
from gauntlet.data.uploads.unpacking import Unpacked, unpack
from gauntlet.errors import ArchiveRefused, PictureUnreadable
from gauntlet.spec.asked.uploads import SplitDraw
from gauntlet.spec.kinds import SPLITS, Split

IMAGES, THUMBNAILS = "images", "thumbnails"
_THUMBNAIL_SIDE = 96
_THUMBNAILS_OF_A_CLASS = 3
_CLASSES_WITH_THUMBNAILS = 100
_UNPACKED, _ROWS = "unpacked", "rows"

# Told of how far it is: what is done, how many of how many (0 where that is not known).
Watch = Callable[[str, int, int], None]


def take_in(
    archive: Path, folder: Path, name: str, draw: SplitDraw | None, bounds: Bounds, watch: Watch = lambda *_: None
) -> DatasetContents:
    """Make the archive a data set, which is called `name`: its pictures in `folder`/images, small ones in thumbnails.

    Pictures may lie in it as files, or in Parquet files as rows. Pictures that cannot be read are left out, and told.

    Raises:
        ArchiveRefused: it is damaged or hostile, or what can be read of it is no data set.
        OSError: there is no room.
    """
    told: Callable[[int], None] = lambda entries: watch("unpacking", entries, 0)  # noqa: E731  # it is told of twice
    unpacked = unpack(archive, folder / _UNPACKED, bounds, told)
    most_bytes = bounds.bytes_for(archive.stat().st_size)
    unpacked = unpack_rows(unpacked, folder / _ROWS, draw, bounds, most_bytes, told)
    placed = arrange(unpacked.pictures, draw)
    reading = _Reading(folder, unpacked)
    reading.all_of(placed, watch)
    for folder_of_parts in (_UNPACKED, _ROWS):
        shutil.rmtree(folder / folder_of_parts, ignore_errors=True)
    return reading.result(name)


@dataclass
class _Reading:
    """Reads what was unpacked, and moves it to its place."""

    folder: Path
    unpacked: Unpacked
    _tallies: Mapping[Split, Tally] = field(default_factory=lambda: {split: Tally() for split in SPLITS})
    _sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    _thumbnails: list[Thumbnail] = field(default_factory=list)
    _shown: Counter[str] = field(default_factory=Counter)
    _sha256: "hashlib._Hash" = field(default_factory=hashlib.sha256)
    _bytes: int = 0

    def all_of(self, placed: Mapping[Parts, Placed], watch: Watch) -> None:
        for parts in self.unpacked.pictures:
            if parts not in placed:
                self._pass_over("outside of a class folder", parts)
        for split, name in sorted({(place.split, place.parts[0]) for place in placed.values()}):
            # Also of a class of which nothing can be read, so that it is told.
            self._target(split, (name,)).mkdir(parents=True)
        (self.folder / THUMBNAILS).mkdir()
        in_order = sorted(placed.items(), key=lambda item: (item[1].split, item[1].parts))
        for number, (parts, place) in enumerate(in_order, 1):
            self._read(parts, place)
            watch("reading", number, len(in_order))

    def result(self, name: str) -> DatasetContents:
        listing = list_splits(self.folder / IMAGES, "")
        skipped = self.unpacked.passed_over.skipped
        if listing.faults:
            told = f" Passed over: {passed_over(skipped)}." if skipped else ""
            raise ArchiveRefused(" ".join(listing.faults) + told)
        seen = {split: SeenSplit(files.describe(), self._tallies[split]) for split, files in listing.splits.items()}
        widths, heights = ([size[side] for size in self._sizes] for side in (0, 1))
        (commonest, images), *_ = self._sizes.most_common(1)
        return DatasetContents(
            description=describe_seen(name, seen),
            skipped=skipped,
            sizes=PictureSizes(
                smallest=(min(widths), min(heights)),
                largest=(max(widths), max(heights)),
                commonest=commonest,
                commonest_images=images,
            ),
            thumbnails=tuple(self._thumbnails),
            sha256=self._sha256.hexdigest(),
            bytes=self._bytes,
        )

    def _read(self, parts: Parts, place: Placed) -> None:
        source = self.unpacked.folder.joinpath(*parts)
        try:
            content = content_of(source)
            picture = read_picture(content)
        except PictureUnreadable as error:
            self._pass_over(f"left out, for {why_unreadable(error)}", parts)
            return
        except MemoryError:
            self._pass_over("left out, for the picture takes too much memory to decode", parts)
            return
        square = picture.width == picture.height
        name = "/".join((place.split, *place.parts))
        self._tallies[place.split].add(name, content, square=square, levels_cut=picture.levels_cut)
        self._sizes[picture.width, picture.height] += 1
        self._bytes += len(content)
        self._sha256.update(json.dumps([place.split, *place.parts]).encode() + self.unpacked.pictures[parts])
        self._show(picture, place)
        target = self._target(place.split, place.parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        source.rename(target)

    def _show(self, picture: Picture, place: Placed) -> None:
        label = place.parts[0]
        is_new = label not in self._shown
        if place.split != "train" or self._shown[label] >= _THUMBNAILS_OF_A_CLASS:
            return
        if is_new and len(self._shown) >= _CLASSES_WITH_THUMBNAILS:
            return
        image = picture.image.copy()
        image.thumbnail((_THUMBNAIL_SIDE, _THUMBNAIL_SIDE), Image.Resampling.BILINEAR)
        image.save(self.folder / THUMBNAILS / f"{len(self._thumbnails)}.png")
        self._thumbnails.append(Thumbnail(label=label, image=shown("/".join((place.split, *place.parts)))))
        self._shown[label] += 1

    def _target(self, split: Split, parts: Parts) -> Path:
        return self.folder.joinpath(IMAGES, split, *parts)

    def _pass_over(self, reason: str, parts: Parts) -> None:
        self.unpacked.passed_over.skip(reason, "/".join(parts))

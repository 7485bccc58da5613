"""The directories of a TIFF, and of the EXIF block that other formats carry in the same form. Nothing is decoded."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from gauntlet.errors import PictureUnreadable

MAGICS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

# Far beyond what programs write; each entry and each directory costs Pillow some microseconds.
MOST_ENTRIES = 1_000
MOST_DIRECTORIES = 100
MOST_STRIPS = 65_536

_SUBFILE, _STRIPS, _ORIENTATION, _TILES = 254, 273, 274, 324
_REDUCED, _MASK = 1, 4
_SHORT = 3
_UPRIGHT, _LAST_ORIENTATION = 1, 8
_BIG = 43


@dataclass(frozen=True)
class _Form:
    """How numbers are written: `order` is struct's byte order, the others are struct codes of a directory's parts."""

    order: str
    entries: str
    entry: str
    link: str

    def read(self, code: str, content: bytes, place: int) -> tuple[int, ...]:
        """Raises struct.error beyond the end."""
        return struct.unpack_from(self.order + code, content, place)


def refuse_unless_one_picture(content: bytes) -> None:
    """Look through a TIFF's directories: one is the picture, others may only be smaller copies of it, or masks.

    Raises:
        PictureUnreadable: it has pages, only a preview, or far more parts than a picture has; or is damaged.
    """
    try:
        for number, entries in enumerate(_directories(content)):
            if number >= MOST_DIRECTORIES or len(entries) > MOST_ENTRIES:
                raise PictureUnreadable(
                    f"The file has more than {MOST_DIRECTORIES} directories, or {MOST_ENTRIES} entries in one."
                )
            _, subfile = entries.get(_SUBFILE, (1, 0))
            if number == 0 and subfile & _REDUCED:
                raise PictureUnreadable("The first picture in the file is only a preview, as in cameras' raw files.")
            if number > 0 and not subfile & (_REDUCED | _MASK):
                raise PictureUnreadable("The file has more than one page; save the page that is meant by itself.")
            if max(entries.get(tag, (0, 0))[0] for tag in (_STRIPS, _TILES)) > MOST_STRIPS:
                raise PictureUnreadable(f"The picture is cut into more than {MOST_STRIPS} pieces.")
    except struct.error as error:
        raise PictureUnreadable("The file is damaged: a directory of the TIFF lies beyond its end.") from error


def exif_orientation(exif: bytes) -> int:
    """Which way is up, by EXIF's number from 1 (as it lies) to 8; 1 where nothing that can be read says otherwise."""
    if not exif.startswith(MAGICS):
        return _UPRIGHT
    try:
        _, value = next(_directories(exif), {}).get(_ORIENTATION, (1, _UPRIGHT))
    except struct.error:
        # The picture itself may be sound; without a readable entry it stands as it is.
        return _UPRIGHT
    return value if _UPRIGHT <= value <= _LAST_ORIENTATION else _UPRIGHT


def _directories(content: bytes) -> Iterator[dict[int, tuple[int, int]]]:
    """Each directory of the chain as {tag: (how many values, the first if it is short)}."""
    order = "<" if content.startswith(b"II") else ">"
    if _BIG in content[2:4]:
        form, start = _Form(order, "Q", "HHQ8s", "Q"), 8
    else:
        form, start = _Form(order, "H", "HHI4s", "I"), 4
    (place,) = form.read(form.link, content, start)
    seen: set[int] = set()
    while place and place not in seen:
        seen.add(place)
        (count,) = form.read(form.entries, content, place)
        place += struct.calcsize(order + form.entries)
        size = struct.calcsize(order + form.entry)
        entries = {}
        for number in range(min(count, MOST_ENTRIES + 1)):
            tag, kind, values, raw = struct.unpack_from(order + form.entry, content, place + number * size)
            entries[tag] = values, struct.unpack_from(order + ("H" if kind == _SHORT else "I"), raw)[0]
        yield entries
        (place,) = form.read(form.link, content, place + count * size)

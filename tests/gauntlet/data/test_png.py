"""Every kind of PNG, from its bytes, against levels worked out by hand."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from gauntlet.data.decoded import pictures
from gauntlet.data.decoded.pictures import read_picture
from gauntlet.errors import PictureUnreadable
from tests.pictures import encoded, levels, packed, png

GREY, COLOUR, PALETTE, GREY_ALPHA, COLOUR_ALPHA = 0, 2, 3, 4, 6
WHITE = (255, 255, 255)
_PLTE = (b"PLTE", bytes([10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120]))


def _key(*samples: int) -> tuple[bytes, bytes]:
    return b"tRNS", struct.pack(f">{len(samples)}H", *samples)


# Name: (bits, colour type, chunks, samples of the pixels in one row, what they are).
KINDS = {
    "grey-1": (1, GREY, (), [0, 1], [0, 255]),
    "grey-2": (2, GREY, (), [0, 1, 2, 3], [0, 85, 170, 255]),
    "grey-4": (4, GREY, (), [0, 1, 8, 15], [0, 17, 136, 255]),
    "grey-8": (8, GREY, (), [0, 1, 200, 255], [0, 1, 200, 255]),
    # The upper byte: 40000 is 156 × 256 + 64.
    "grey-16": (16, GREY, (), [0, 255, 256, 40000, 65535], [0, 0, 1, 156, 255]),
    "grey-1-key-black": (1, GREY, (_key(0),), [0, 1], [255, 255]),
    "grey-1-key-white": (1, GREY, (_key(1),), [0, 1], [0, 255]),
    "grey-2-key": (2, GREY, (_key(1),), [0, 1, 2, 3], [0, 255, 170, 255]),
    "grey-4-key": (4, GREY, (_key(4),), [0, 4, 5, 15], [0, 255, 85, 255]),
    "grey-8-key": (8, GREY, (_key(68),), [0, 67, 68, 69], [0, 67, 255, 69]),
    # Only the pixel of the very key, not its neighbours of the same upper byte.
    "grey-16-key": (16, GREY, (_key(40000),), [39999, 40000, 40001], [156, 255, 156]),
    "rgb-8": (8, COLOUR, (), [1, 2, 3, 250, 251, 252], [(1, 2, 3), (250, 251, 252)]),
    "rgb-8-key": (8, COLOUR, (_key(1, 2, 3),), [1, 2, 3, 1, 2, 4], [WHITE, (1, 2, 4)]),
    "rgb-16": (16, COLOUR, (), [256, 513, 65535], [(1, 2, 255)]),
    "rgb-16-key": (16, COLOUR, (_key(256, 513, 40000),), [256, 513, 40000, 256, 513, 40001], [WHITE, (1, 2, 156)]),
    "palette-1": (1, PALETTE, (_PLTE,), [0, 1], [(10, 20, 30), (40, 50, 60)]),
    "palette-2": (2, PALETTE, (_PLTE,), [3, 1], [(100, 110, 120), (40, 50, 60)]),
    "palette-4": (4, PALETTE, (_PLTE,), [2, 0], [(70, 80, 90), (10, 20, 30)]),
    "palette-8": (8, PALETTE, (_PLTE,), [2, 3], [(70, 80, 90), (100, 110, 120)]),
    "palette-2-one-transparent": (2, PALETTE, (_PLTE, (b"tRNS", b"\xff\0")), [0, 1], [(10, 20, 30), WHITE]),
    # 51 of 255 is a fifth: 70 · 0.2 + 255 · 0.8 = 218, 80 → 220, 90 → 222.
    "palette-8-alpha": (8, PALETTE, (_PLTE, (b"tRNS", b"\xff\xff\x33")), [2, 3], [(218, 220, 222), (100, 110, 120)]),
    "grey-alpha-8": (8, GREY_ALPHA, (), [7, 255, 7, 0, 100, 51], [(7, 7, 7), WHITE, (224, 224, 224)]),
    "grey-alpha-16": (16, GREY_ALPHA, (), [7 << 8, 65535, 9, 0], [(7, 7, 7), WHITE]),
    "rgba-8": (8, COLOUR_ALPHA, (), [1, 2, 3, 255, 1, 2, 3, 0], [(1, 2, 3), WHITE]),
    "rgba-16": (16, COLOUR_ALPHA, (), [256, 512, 768, 65535, 1, 2, 3, 0], [(1, 2, 3), WHITE]),
}
_CHANNELS = {GREY: 1, COLOUR: 3, PALETTE: 1, GREY_ALPHA: 2, COLOUR_ALPHA: 4}


def picture_of(kind: str, rows: int = 1) -> bytes:
    bits, colour, chunks, samples, expected = KINDS[kind]
    assert len(samples) == _CHANNELS[colour] * len(expected)
    return png(len(expected), [packed(samples, bits)] * rows, bits, colour, *chunks)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_png_has_its_levels(kind: str) -> None:
    """1 to 16 bits; grey, colour and palette; no transparency, a key, or alpha, which is seen over white."""
    found = read_picture(picture_of(kind))
    assert levels(found.image) == KINDS[kind][4]
    assert not found.levels_cut


def test_the_table_holds_every_kind() -> None:
    """Each pair of bits and colour type that the format has is among them."""
    pairs = {(bits, colour) for bits, colour, *_ in KINDS.values()}
    assert len(pairs) == 15


@pytest.mark.parametrize("kind", ["grey-2-key", "grey-16-key", "rgb-16-key", "palette-8-alpha", "rgba-8"])
def test_a_picture_read_in_bands_is_the_same(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """How many rows are looked at together changes nothing."""
    row = KINDS[kind][4]
    monkeypatch.setattr(pictures, "_BAND_PIXELS", 2 * len(row))
    assert levels(read_picture(picture_of(kind, rows=5)).image) == row * 5


def test_an_interlaced_picture_is_the_same() -> None:
    """Of 2 × 2 pixels Adam7 has the first in one pass, its right neighbour in another, the second row in the last."""
    passes = [b"\1", b"\2", b"\3\4"]
    assert levels(read_picture(png(2, passes, 8, GREY, interlaced_height=2)).image) == [1, 2, 3, 4]


_TEXT = b"x" * 2_000_000
NOTES = {
    "zTXt": b"note\0\0" + zlib.compress(_TEXT),
    "iTXt": b"note\0\1\0\0\0" + zlib.compress(_TEXT),
    "tEXt": b"note\0" + _TEXT,
    "iCCP": b"profile\0\0" + zlib.compress(_TEXT),
    "eXIf": _TEXT,
    "prVt": _TEXT,
}


@pytest.mark.parametrize("kind", NOTES)
def test_long_metadata_changes_nothing(kind: str) -> None:
    """Text, profile and other parts of two million bytes are passed over, and so is one that is damaged."""
    row = bytes([0, 100, 200])
    noted = png(3, [row], 8, GREY, (kind.encode(), NOTES[kind]))
    damaged = noted.replace(NOTES[kind], NOTES[kind][:-1] + b"?")
    assert damaged != noted
    for picture in (noted, damaged):
        assert levels(read_picture(picture).image) == [0, 100, 200]


@pytest.mark.parametrize("cut", [5, 20, 40, 60])
def test_a_cut_png_is_damaged(cut: int) -> None:
    """Wherever the file ends, short of all its pixels, it is refused."""
    noise = np.random.default_rng(0).integers(0, 256, (4, 4), dtype=np.uint8)
    with pytest.raises(PictureUnreadable):
        read_picture(encoded(Image.fromarray(noise))[:cut])

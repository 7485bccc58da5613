"""Every kind of TIFF that Pillow opens, from its bytes, against levels worked out by hand."""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from PIL.TiffImagePlugin import OPEN_INFO

from gauntlet.data.decoded.pictures import read_picture
from gauntlet.data.decoded.tiff_pages import MOST_DIRECTORIES, MOST_ENTRIES, MOST_STRIPS
from gauntlet.errors import PictureUnreadable
from tests.pictures import levels, packed, tiff, tiff_of

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, CMYK, YCBCR, LAB = 0, 1, 2, 3, 5, 6, 8
UNSIGNED, SIGNED, FLOAT = 1, 2, 3
RAW, DEFLATE = 1, 8
_COMPRESSION, _PHOTOMETRIC, _FILL_ORDER, _SAMPLES, _BITS = 259, 262, 266, 277, 258
_PLANAR, _COLOUR_MAP, _EXTRA, _FORMAT, _SUBSAMPLING = 284, 320, 338, 339, 530
WHITE = (255, 255, 255)


@dataclass(frozen=True)
class Kind:
    """What the samples mean, those of one row of pixels, and the levels that they are."""

    photometric: int
    bits: tuple[int, ...]
    samples: Sequence[float]
    levels: Sequence[int | tuple[int, ...]]
    extra: tuple[int, ...] = ()
    format: int = UNSIGNED
    cut: bool = False

    def pixels(self, order: str) -> bytes:
        if self.format == FLOAT:
            return struct.pack(f"{order}{len(self.samples)}f", *self.samples)
        return packed([int(sample) % (1 << self.bits[0]) for sample in self.samples], self.bits[0], order)

    def file(self, order: str = "<", compression: int = RAW, fill_order: int = 1) -> bytes:
        pixels = self.pixels(order)
        if fill_order != 1:
            pixels = bytes(int(f"{byte:08b}"[::-1], 2) for byte in pixels)
        tags: dict[int, int | Sequence[int]] = {
            _BITS: self.bits,
            _PHOTOMETRIC: self.photometric,
            _COMPRESSION: compression,
            _SAMPLES: len(self.bits),
            _FILL_ORDER: fill_order,
            _FORMAT: self.format,
        }
        if self.extra:
            tags[_EXTRA] = self.extra
        if self.photometric == YCBCR:
            tags[_SUBSAMPLING] = (1, 1)
        if self.photometric == PALETTE:
            # Red is the index, green twice and blue three times as much, as 16-bit values.
            count = 1 << self.bits[0]
            tags[_COLOUR_MAP] = [index * factor % 256 * 257 for factor in (1, 2, 3) for index in range(count)]
        return tiff(len(self.levels), 1, zlib.compress(pixels) if compression == DEFLATE else pixels, tags, order)


KINDS = {
    "grey-1": Kind(BLACK_IS_ZERO, (1,), [0, 1, 1, 0], [0, 255, 255, 0]),
    "grey-2": Kind(BLACK_IS_ZERO, (2,), [0, 1, 2, 3], [0, 85, 170, 255]),
    "grey-4": Kind(BLACK_IS_ZERO, (4,), [0, 4, 15], [0, 68, 255]),
    "grey-8": Kind(BLACK_IS_ZERO, (8,), [0, 200, 255], [0, 200, 255]),
    # The upper eight bits: 2063 is 128 · 16 + 15.
    "grey-12": Kind(BLACK_IS_ZERO, (12,), [0, 2063, 4095, 16], [0, 128, 255, 1]),
    "grey-16": Kind(BLACK_IS_ZERO, (16,), [0, 255, 40000, 65535], [0, 0, 156, 255]),
    "grey-32": Kind(BLACK_IS_ZERO, (32,), [0, 200, 70000, 3_000_000_000], [0, 200, 255, 255], cut=True),
    "grey-32-within": Kind(BLACK_IS_ZERO, (32,), [0, 200, 255], [0, 200, 255]),
    "white-is-zero-1": Kind(WHITE_IS_ZERO, (1,), [0, 1], [255, 0]),
    "white-is-zero-2": Kind(WHITE_IS_ZERO, (2,), [0, 1, 2, 3], [255, 170, 85, 0]),
    "white-is-zero-4": Kind(WHITE_IS_ZERO, (4,), [0, 4, 15], [255, 187, 0]),
    "white-is-zero-8": Kind(WHITE_IS_ZERO, (8,), [0, 200, 255], [255, 55, 0]),
    # 65535 − 40000 is 99 · 256 + 191.
    "white-is-zero-16": Kind(WHITE_IS_ZERO, (16,), [0, 40000, 65535], [255, 99, 0]),
    "white-is-zero-float": Kind(WHITE_IS_ZERO, (32,), [0.0, 0.2, 1.0], [255, 204, 0], format=FLOAT),
    "signed-8": Kind(BLACK_IS_ZERO, (8,), [0, 127, -1, -128], [0, 127, 0, 0], format=SIGNED, cut=True),
    "signed-16": Kind(BLACK_IS_ZERO, (16,), [-300, 0, 200, 300], [0, 0, 200, 255], format=SIGNED, cut=True),
    "signed-32": Kind(BLACK_IS_ZERO, (32,), [-1, 0, 200, 70000], [0, 0, 200, 255], format=SIGNED, cut=True),
    # 0.5 · 255 is 127.5, which goes to the even neighbour; 0.2 · 255 is 51.
    "float": Kind(BLACK_IS_ZERO, (32,), [0.0, 0.2, 0.5, 1.0], [0, 51, 128, 255], format=FLOAT),
    "grey-unused": Kind(BLACK_IS_ZERO, (8, 8), [7, 0, 200, 99], [7, 200], extra=(0,)),
    # 51 of 255 is a fifth: 100 · 0.2 + 255 · 0.8 = 224. Associated alpha has the colour multiplied already: 20.
    "grey-alpha": Kind(BLACK_IS_ZERO, (8, 8), [7, 255, 100, 51], [(7, 7, 7), (224, 224, 224)], extra=(2,)),
    "grey-associated": Kind(BLACK_IS_ZERO, (8, 8), [7, 255, 20, 51], [(7, 7, 7), (224, 224, 224)], extra=(1,)),
    "rgb": Kind(RGB, (8,) * 3, [1, 2, 3, 250, 251, 252], [(1, 2, 3), (250, 251, 252)]),
    "rgb-16": Kind(RGB, (16,) * 3, [256, 513, 65535], [(1, 2, 255)]),
    "rgba-undeclared": Kind(RGB, (8,) * 4, [1, 2, 3, 255, 1, 2, 3, 0], [(1, 2, 3), WHITE]),
    "rgb-1-unused": Kind(RGB, (8,) * 4, [1, 2, 3, 0], [(1, 2, 3)], extra=(0,)),
    "rgb-2-unused": Kind(RGB, (8,) * 5, [1, 2, 3, 0, 0], [(1, 2, 3)], extra=(0, 0)),
    "rgb-3-unused": Kind(RGB, (8,) * 6, [1, 2, 3, 0, 0, 0], [(1, 2, 3)], extra=(0, 0, 0)),
    "rgb-associated": Kind(RGB, (8,) * 4, [1, 2, 3, 255, 20, 0, 51, 51], [(1, 2, 3), (224, 204, 255)], extra=(1,)),
    "rgb-associated-1": Kind(RGB, (8,) * 5, [20, 0, 51, 51, 9], [(224, 204, 255)], extra=(1, 0)),
    "rgb-associated-2": Kind(RGB, (8,) * 6, [20, 0, 51, 51, 9, 9], [(224, 204, 255)], extra=(1, 0, 0)),
    "rgb-alpha": Kind(RGB, (8,) * 4, [100, 0, 255, 51, 1, 2, 3, 0], [(224, 204, 255), WHITE], extra=(2,)),
    "rgb-alpha-1": Kind(RGB, (8,) * 5, [100, 0, 255, 51, 9], [(224, 204, 255)], extra=(2, 0)),
    "rgb-alpha-2": Kind(RGB, (8,) * 6, [100, 0, 255, 51, 9, 9], [(224, 204, 255)], extra=(2, 0, 0)),
    "rgb-alpha-corel": Kind(RGB, (8,) * 4, [100, 0, 255, 51], [(224, 204, 255)], extra=(999,)),
    "rgba-16-undeclared": Kind(RGB, (16,) * 4, [256, 512, 768, 65535, 1, 2, 3, 0], [(1, 2, 3), WHITE]),
    "rgb-16-unused": Kind(RGB, (16,) * 4, [256, 512, 768, 0], [(1, 2, 3)], extra=(0,)),
    "rgb-16-associated": Kind(RGB, (16,) * 4, [0, 0, 0, 0, 256, 512, 768, 65535], [WHITE, (1, 2, 3)], extra=(1,)),
    "rgb-16-alpha": Kind(RGB, (16,) * 4, [9, 9, 9, 0, 256, 512, 768, 65535], [WHITE, (1, 2, 3)], extra=(2,)),
    "palette-1": Kind(PALETTE, (1,), [1, 0], [(1, 2, 3), (0, 0, 0)]),
    "palette-2": Kind(PALETTE, (2,), [3, 1], [(3, 6, 9), (1, 2, 3)]),
    "palette-4": Kind(PALETTE, (4,), [15, 2], [(15, 30, 45), (2, 4, 6)]),
    "palette-8": Kind(PALETTE, (8,), [200, 2], [(200, 144, 88), (2, 4, 6)]),
    "palette-unused": Kind(PALETTE, (8, 8), [200, 0, 2, 0], [(200, 144, 88), (2, 4, 6)], extra=(0,)),
    "palette-alpha": Kind(PALETTE, (8, 8), [200, 255, 2, 0], [(200, 144, 88), WHITE], extra=(2,)),
    # (255 − ink) · (255 − black) / 255: 155 · 204 / 255 = 124, 255 · 204 / 255 = 204.
    "cmyk": Kind(CMYK, (8,) * 4, [100, 0, 255, 51, 0, 0, 0, 0], [(124, 204, 0), WHITE]),
    "cmyk-1-unused": Kind(CMYK, (8,) * 5, [100, 0, 255, 51, 9], [(124, 204, 0)], extra=(0,)),
    "cmyk-2-unused": Kind(CMYK, (8,) * 6, [100, 0, 255, 51, 9, 9], [(124, 204, 0)], extra=(0, 0)),
    "cmyk-16": Kind(CMYK, (16,) * 4, [25_600, 0, 65_535, 51 << 8], [(124, 204, 0)]),
    "luma": Kind(YCBCR, (8,), [0, 77, 255], [0, 77, 255]),
    # JFIF: red is 100 + 1.402 · 50, green 100 − 0.714 · 50, blue 100.
    "ycbcr": Kind(YCBCR, (8,) * 3, [77, 128, 128, 100, 128, 178], [(77, 77, 77), (170, 64, 100)]),
    "lab": Kind(LAB, (8,) * 3, [0, 0, 0, 255, 0, 0], [(0, 0, 0), WHITE]),
}

# Pillow has no reader for these; a file that is one is refused.
_UNREAD = {(WHITE_IS_ZERO, (8,)), (PALETTE, (1,)), (PALETTE, (2,)), (PALETTE, (4,))}


def test_the_table_holds_every_kind() -> None:
    """What Pillow's table of kinds has is here, so that none is read without its levels being known."""
    here = {(kind.photometric, (kind.format,), kind.bits, kind.extra) for kind in KINDS.values()}
    assert {(photometric, form, bits, extra) for _, photometric, form, _, bits, extra in OPEN_INFO} == here


@pytest.mark.parametrize("order", ["<", ">"], ids=["little", "big"])
@pytest.mark.parametrize("compression", [RAW, DEFLATE], ids=["raw", "deflate"])
@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_tiff_has_its_levels(name: str, compression: int, order: str) -> None:
    """In both byte orders, compressed and not; the few that Pillow does not open so are refused."""
    kind = KINDS[name]
    prefix = b"II" if order == "<" else b"MM"
    opened = (prefix, kind.photometric, (kind.format,), 1, kind.bits, kind.extra) in OPEN_INFO
    # libtiff takes luma without chroma for damaged.
    if not opened or (name == "luma" and compression == DEFLATE):
        with pytest.raises(PictureUnreadable, match="TIFF"):
            read_picture(kind.file(order, compression))
        return
    found = read_picture(kind.file(order, compression))
    # Pillow turns YCbCr and Lab into RGB in whole numbers.
    near = 1 if kind.photometric in (YCBCR, LAB) else 0
    assert np.abs(np.subtract(levels(found.image), kind.levels)).max() <= near
    assert found.image.mode == ("RGB" if isinstance(kind.levels[0], tuple) else "L")
    assert found.levels_cut == kind.cut


_REVERSED = {
    (photometric, form, bits, extra) for _, photometric, form, fill_order, bits, extra in OPEN_INFO if fill_order == 2
}


@pytest.mark.parametrize(
    "name",
    [name for name, kind in KINDS.items() if (kind.photometric, (kind.format,), kind.bits, kind.extra) in _REVERSED],
)
def test_bits_in_reverse_order_have_their_levels(name: str) -> None:
    """FillOrder 2 has the first pixel in a byte's lowest bits."""
    kind = KINDS[name]
    file = kind.file(fill_order=2)
    if (kind.photometric, kind.bits) in _UNREAD:
        with pytest.raises(PictureUnreadable, match="TIFF"):
            read_picture(file)
    else:
        assert levels(read_picture(file).image) == kind.levels


@pytest.mark.parametrize("value", [-0.01, 1.01, 200.0, float("nan"), float("inf")])
@pytest.mark.parametrize("order", ["<", ">"], ids=["little", "big"])
def test_floats_beyond_one_are_refused(value: float, order: str) -> None:
    """Floats from 0 to 1 have a meaning; of others it is said how far they reach."""
    with pytest.raises(PictureUnreadable, match=r"from 0 \(black\) to 1 \(white\)"):
        read_picture(Kind(BLACK_IS_ZERO, (32,), [0.5, value], [0, 0], format=FLOAT).file(order))


def test_ycbcr_of_reduced_resolution() -> None:
    """Compressed it is read; uncompressed Pillow would take it for one of full resolution, so it is refused."""
    # One block of 2 × 2: four lumas, one Cb, one Cr.
    block = bytes([10, 20, 30, 40, 128, 128])
    tags = {_BITS: (8, 8, 8), _PHOTOMETRIC: YCBCR, _SAMPLES: 3, _SUBSAMPLING: (2, 2)}
    compressed = tiff(2, 2, zlib.compress(block), tags | {_COMPRESSION: DEFLATE})
    assert levels(read_picture(compressed).image) == [(10,) * 3, (20,) * 3, (30,) * 3, (40,) * 3]
    for raw in (tags, {tag: value for tag, value in tags.items() if tag != _SUBSAMPLING}):
        with pytest.raises(PictureUnreadable, match="YCbCr"):
            read_picture(tiff(2, 2, block * 2, raw))


@pytest.mark.parametrize("compression", [RAW, DEFLATE])
def test_planes_are_put_together(compression: int) -> None:
    """Red, green and blue in strips of their own."""
    planes = [bytes([1, 11]), bytes([2, 12]), bytes([3, 13])]
    if compression == DEFLATE:
        planes = [zlib.compress(plane) for plane in planes]
    # The strips lie behind the directory: 11 entries, and 9 values that do not fit into them.
    start = 8 + 2 + 11 * 12 + 4 + 9 * 4
    places = [start, start + len(planes[0]), start + len(planes[0]) + len(planes[1])]
    tags = {_BITS: (8, 8, 8), _PHOTOMETRIC: RGB, _COMPRESSION: compression, _SAMPLES: 3, _PLANAR: 2}
    strips = {273: places, 279: [len(plane) for plane in planes], 274: 1}
    assert levels(read_picture(tiff(2, 1, b"".join(planes), tags | strips)).image) == [(1, 2, 3), (11, 12, 13)]


@pytest.mark.parametrize("compression", [RAW, DEFLATE])
def test_a_tiff_stands_upright(compression: int) -> None:
    """Orientation 6: the first row is the right column."""
    pixels = bytes([1, 2, 3, 4, 5, 6])
    tags = {_BITS: 8, _PHOTOMETRIC: BLACK_IS_ZERO, 274: 6, _COMPRESSION: compression}
    found = read_picture(tiff(3, 2, zlib.compress(pixels) if compression == DEFLATE else pixels, tags))
    assert (found.width, found.height, found.image.size) == (2, 3, (2, 3))
    assert levels(found.image) == [4, 1, 5, 2, 6, 3]


_SMALL = {_BITS: 8, _PHOTOMETRIC: BLACK_IS_ZERO}
_PAGE = (1, 1, b"\x4d", _SMALL)


@pytest.mark.parametrize("order", ["<", ">"])
def test_only_copies_may_stand_beside_the_picture(order: str) -> None:
    """A smaller copy or a mask behind it is passed over; a second page, or only a preview, is refused."""
    copy, mask = ((1, 1, b"\xff", _SMALL | {254: subfile}) for subfile in (1, 4))
    assert levels(read_picture(tiff_of([_PAGE, copy, mask], order)).image) == [77]
    with pytest.raises(PictureUnreadable, match="more than one page"):
        read_picture(tiff_of([_PAGE, copy, _PAGE], order))
    with pytest.raises(PictureUnreadable, match="only a preview"):
        read_picture(tiff_of([copy, _PAGE], order))


def test_a_tiff_of_far_too_many_parts_is_refused() -> None:
    """Directories, entries and strips are counted before anything is read; a ring of directories ends."""
    copy = (1, 1, b"\xff", _SMALL | {254: 1})
    read_picture(tiff_of([_PAGE] + [copy] * (MOST_DIRECTORIES - 1)))
    with pytest.raises(PictureUnreadable, match="directories"):
        read_picture(tiff_of([_PAGE] + [copy] * MOST_DIRECTORIES))
    with pytest.raises(PictureUnreadable, match="entries"):
        read_picture(tiff(1, 1, b"\x4d", _SMALL | {40_000 + number: 0 for number in range(MOST_ENTRIES)}))
    with pytest.raises(PictureUnreadable, match="pieces"):
        read_picture(tiff(1, 1, b"\x4d", _SMALL | {273: [8] * (MOST_STRIPS + 1)}))
    ring = bytearray(tiff(1, 1, b"\x4d", _SMALL))
    ring[-5:-1] = struct.pack("<I", 8)
    assert levels(read_picture(bytes(ring)).image) == [77]

"""One plain form for pictures of all formats; TIFF and PNG have files of their own."""

import os
import struct
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gauntlet.data.decoded import picture_files, pictures
from gauntlet.data.decoded.picture_files import (
    FORMATS,
    SUFFIXES,
    examine,
)
from gauntlet.data.decoded.pictures import read_picture
from gauntlet.errors import PictureFormatRefused, PictureUnreadable
from gauntlet.spec.kinds import Fit
from tests.pictures import bmp, encoded, levels, png, tiff, webp

GREY = np.arange(256, dtype=np.uint8).reshape(16, 16)
# Two rows of three: turned, no two orientations look the same.
SIX = np.arange(1, 7, dtype=np.uint8).reshape(2, 3)


def exif(orientation: int, order: str = "<") -> bytes:
    """An EXIF block that holds the orientation."""
    return tiff(1, 1, b"", {274: orientation}, order)


def with_segment(picture: bytes, code: int, data: bytes) -> bytes:
    """A JPEG with one more segment behind its first marker."""
    return picture[:2] + bytes([0xFF, code]) + struct.pack(">H", len(data) + 2) + data + picture[2:]


# By EXIF's number: the rows of SIX when the picture stands upright.
UPRIGHT = {
    1: [[1, 2, 3], [4, 5, 6]],
    2: [[3, 2, 1], [6, 5, 4]],
    3: [[6, 5, 4], [3, 2, 1]],
    4: [[4, 5, 6], [1, 2, 3]],
    5: [[1, 4], [2, 5], [3, 6]],
    6: [[4, 1], [5, 2], [6, 3]],
    7: [[6, 3], [5, 2], [4, 1]],
    8: [[3, 6], [2, 5], [1, 4]],
}


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_a_picture_stands_upright(orientation: int, order: str) -> None:
    """The EXIF entry of a PNG, a WebP and a JPEG is applied, and the size is the upright picture's."""
    block = exif(orientation, order)
    lossless = encoded(Image.fromarray(SIX).convert("RGB"), "WEBP", lossless=True)[12:]
    files = {
        "png": png(3, [row.tobytes() for row in SIX], 8, 0, (b"eXIf", block)),
        "webp": webp((b"VP8X", bytes([8, 0, 0, 0, 2, 0, 0, 1, 0, 0])), (b"VP8L", lossless[8:]), (b"EXIF", block)),
    }
    expected = np.array(UPRIGHT[orientation])
    for file in files.values():
        found = read_picture(file)
        assert np.array_equal(np.array(found.image.convert("L")), expected)
        assert (found.height, found.width) == expected.shape
    jpeg = encoded(Image.fromarray(GREY), "JPEG", quality=100)
    turned = read_picture(with_segment(jpeg, 0xE1, b"Exif\0\0" + block)).image
    still = np.asarray(read_picture(jpeg).image)
    assert np.array_equal(np.asarray(turned), _turned(still, orientation))


def _turned(values: np.ndarray, orientation: int) -> np.ndarray:
    """By numpy, from EXIF's words for where the first row and column are."""
    upright = values.T if orientation >= 5 else values
    flip = {1: (1, 1), 2: (1, -1), 3: (-1, -1), 4: (-1, 1), 5: (1, 1), 6: (1, -1), 7: (-1, -1), 8: (-1, 1)}
    down, right = flip[orientation]
    return upright[::down, ::right]


@pytest.mark.parametrize(
    "block",
    [b"", b"II*\0", b"II*\0\xff\xff\xff\xff", exif(0), exif(9), exif(6)[:30], b"junk" * 9],
    ids=["none", "cut", "beyond-the-end", "zero", "nine", "half", "junk"],
)
def test_a_damaged_exif_entry_leaves_the_picture_as_it_lies(block: bytes) -> None:
    """What cannot be read there is no fault of the pixels."""
    assert (
        levels(read_picture(png(3, [row.tobytes() for row in SIX], 8, 0, (b"eXIf", block))).image)
        == SIX.ravel().tolist()
    )


# BMP. Rows stand on their heads and are padded to four bytes; palettes and colours are blue, green, red.
_PALETTE = bytes([30, 20, 10, 0, 60, 50, 40, 0]) + bytes(4 * 254)
BMPS = {
    "palette-1": (bmp(2, 1, 1, b"\x40\0\0\0", _PALETTE[:8]), [(10, 20, 30), (40, 50, 60)]),
    "palette-4": (bmp(2, 1, 4, b"\x10\0\0\0", _PALETTE[: 4 * 16]), [(40, 50, 60), (10, 20, 30)]),
    "palette-8": (bmp(2, 1, 8, b"\1\0\0\0", _PALETTE), [(40, 50, 60), (10, 20, 30)]),
    "palette-8-run-length": (bmp(2, 1, 8, b"\2\1\0\1", _PALETTE, 1), [(40, 50, 60), (40, 50, 60)]),
    "palette-4-run-length": (bmp(2, 1, 4, b"\2\x10\0\1", _PALETTE[: 4 * 16], 2), [(40, 50, 60), (10, 20, 30)]),
    "grey-8": (
        bmp(2, 1, 8, b"\7\xff\0\0", bytes(value for level in range(256) for value in (level, level, level, 0))),
        [7, 255],
    ),
    # Five bits each, rounded down: 16 · 255 / 31 is 131.6, 255 / 31 is 8.2.
    "rgb-15": (bmp(2, 1, 16, struct.pack("<HH", 31 << 10, 16 << 5 | 1)), [(255, 0, 0), (0, 131, 8)]),
    "rgb-24": (bmp(1, 2, 24, bytes([3, 2, 1, 0, 6, 5, 4, 0])), [(4, 5, 6), (1, 2, 3)]),
    "rgb-32": (bmp(1, 1, 32, bytes([3, 2, 1, 0])), [(1, 2, 3)]),
}


@pytest.mark.parametrize("kind", BMPS)
def test_every_kind_of_bmp_has_its_levels(kind: str) -> None:
    """1 to 32 bits, run lengths among them; the fourth byte of 32 bits is no alpha."""
    file, expected = BMPS[kind]
    assert levels(read_picture(file).image) == expected


PPMS = {
    "plain-1": (b"P1 2 1\n0 1\n", [255, 0]),
    "plain-8": (b"P2 2 1 255\n7 200\n", [7, 200]),
    "plain-rgb": (b"P3 1 1 255\n1 2 3\n", [(1, 2, 3)]),
    "raw-1": (b"P4 2 1\n\x40", [255, 0]),
    "raw-8": (b"P5 2 1 255\n\7\xc8", [7, 200]),
    # 5 of 15 is a third.
    "raw-15-levels": (b"P5 2 1 15\n\5\x0f", [85, 255]),
    "raw-16": (b"P5 2 1 65535\n" + struct.pack(">2H", 40_000, 255), [156, 0]),
    "raw-1000-levels": (b"P5 2 1 1000\n" + struct.pack(">2H", 1000, 0), [255, 0]),
    "plain-16": (b"P2 2 1 65535\n40000 65535\n", [156, 255]),
    "rgb": (b"P6 1 1 255\n\1\2\3", [(1, 2, 3)]),
    "rgb-16": (b"P6 1 1 65535\n" + struct.pack(">3H", 257, 514, 65535), [(1, 2, 255)]),
    "float": (b"Pf\n2 1\n-1.0\n" + struct.pack("<2f", 0.2, 1.0), [51, 255]),
}


@pytest.mark.parametrize("kind", PPMS)
def test_every_kind_of_ppm_has_its_levels(kind: str) -> None:
    """PBM, PGM, PPM and PFM, as text and as bytes."""
    file, expected = PPMS[kind]
    assert levels(read_picture(file).image) == expected


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_a_webp_has_its_levels(mode: str) -> None:
    """Lossless, with transparency over white; 51 of 255 is a fifth."""
    pixel = {"RGB": (100, 0, 255), "RGBA": (100, 0, 255, 51)}[mode]
    expected = {"RGB": (100, 0, 255), "RGBA": (224, 204, 255)}[mode]
    assert levels(read_picture(encoded(Image.new(mode, (2, 1), pixel), "WEBP", lossless=True)).image) == [expected] * 2


def test_a_lossy_webp_is_near_its_levels() -> None:
    """A plain grey comes back within what the loss allows."""
    found = read_picture(encoded(Image.new("RGB", (16, 16), (77, 77, 77)), "WEBP")).image
    assert np.abs(np.asarray(found).astype(int) - 77).max() <= 2


JPEGS = {
    "grey": ("L", 77, 77),
    "rgb": ("RGB", (200, 100, 50), (200, 100, 50)),
    # (255 − ink) · (255 − black) / 255.
    "cmyk": ("CMYK", (100, 0, 255, 51), (124, 204, 0)),
}


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("kind", JPEGS)
def test_every_kind_of_jpeg_has_its_levels(kind: str, progressive: bool) -> None:
    """Grey, YCbCr and CMYK, the latter in the inverted form of Adobe's programs, in which all such files are read."""
    mode, pixel, expected = JPEGS[kind]
    file = encoded(Image.new(mode, (8, 8), pixel), "JPEG", quality=100, progressive=progressive, subsampling=0)
    assert np.abs(np.subtract(levels(read_picture(file).image)[0], expected)).max() <= 2


def test_a_jpeg_says_how_its_colours_are_coded() -> None:
    """Adobe's marker: 0 is RGB as it stands, 1 YCbCr; of four channels 0 is CMYK and 2 YCCK."""
    rgb = encoded(Image.new("RGB", (8, 8), (200, 100, 50)), "JPEG", quality=100, subsampling=0, keep_rgb=True)
    assert np.abs(np.subtract(levels(read_picture(rgb).image)[0], (200, 100, 50))).max() <= 2
    cmyk = encoded(Image.new("CMYK", (8, 8), (100, 0, 255, 51)), "JPEG", quality=100)
    place = cmyk.index(b"Adobe") + 11
    ycck = cmyk[:place] + b"\2" + cmyk[place + 1 :]
    # Stored inverted, the inks 155, 255 and 0 now count as Y, Cb and Cr. By JFIF red is 155 + 1.402 · (0 − 128), below
    # 0; green 155 − 0.344 · 127 + 0.714 · 128 = 203; blue 155 + 1.772 · 127, above 255. So there is no cyan, 203 of
    # magenta, all yellow, and black as it was: 255 · 204 / 255, 52 · 204 / 255, 0.
    found = levels(read_picture(ycck).image)[0]
    assert found != levels(read_picture(cmyk).image)[0]
    assert np.abs(np.subtract(found, (204, 42, 0))).max() <= 3


@pytest.mark.parametrize("code", [0xE1, 0xE2, 0xED, 0xEF, 0xFE])
def test_long_metadata_in_a_jpeg_changes_nothing(code: int) -> None:
    """Profiles, thumbnails and comments, here of two million bytes in many segments, are passed over."""
    plain = encoded(Image.fromarray(GREY), "JPEG", quality=100)
    noted = plain
    # A thumbnail may hold what looks like a scan.
    for _ in range(31):
        noted = with_segment(noted, code, b"\xff\xda" * 32_000)
    assert len(noted) > 1_900_000
    assert np.array_equal(np.asarray(read_picture(noted).image), np.asarray(read_picture(plain).image))
    assert examine(noted).content == plain


def test_a_phones_second_picture_is_passed_over() -> None:
    """Of a JPEG with two pictures (MPO) the first is the photograph."""
    first, second = Image.fromarray(GREY), Image.fromarray(255 - GREY)
    both = encoded(first, "MPO", save_all=True, append_images=[second], quality=100)
    alone = encoded(first, "JPEG", quality=100)
    assert np.array_equal(np.asarray(read_picture(both).image), np.asarray(read_picture(alone).image))


@pytest.mark.parametrize("suffix", sorted(SUFFIXES))
def test_a_file_is_read_by_what_it_is(tmp_path: Path, suffix: str) -> None:
    """Each ending that is taken, and one that lies about the format."""
    kind = next(name for name, suffixes in FORMATS.items() if suffix in suffixes)
    whole = Image.new("RGB", (4, 4), (200, 100, 50))
    options = {"lossless": True} if kind == "WEBP" else {}
    (tmp_path / f"a{suffix}").write_bytes(encoded(whole, kind, **options))
    (tmp_path / f"b{suffix}").write_bytes(encoded(whole))
    for name in ("a", "b"):
        pixel = levels(read_picture(tmp_path / f"{name}{suffix}").image)[0]
        assert np.abs(np.subtract(pixel, (200, 100, 50))).max() <= (6 if kind == "JPEG" else 0)


OTHERS = {
    "a GIF": encoded(Image.fromarray(GREY), "GIF"),
    "an AVIF": encoded(Image.fromarray(GREY), "AVIF"),
    "a JPEG 2000": encoded(Image.fromarray(GREY), "JPEG2000"),
    "an icon": encoded(Image.fromarray(GREY), "ICO"),
    "a HEIC": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
    "a JPEG XL": b"\xff\x0a\xfa\x1f",
    "an SVG": b'<svg xmlns="http://www.w3.org/2000/svg"/>',
    "a PDF": b"%PDF-1.7",
    "a Photoshop document": b"8BPS\0\1",
    "none of": b"I am a text file.",
    "empty": b"",
}


@pytest.mark.parametrize("name", OTHERS)
def test_another_format_is_refused_by_its_name(name: str) -> None:
    """The formats that people have pictures in are told apart, and those that are taken are listed."""
    with pytest.raises(PictureFormatRefused, match=name) as caught:
        read_picture(OTHERS[name])
    assert name == "empty" or "none of PNG, JPEG, WebP, BMP, TIFF and PPM." in str(caught.value)


@pytest.mark.parametrize("format", ["PNG", "JPEG"])
def test_a_picture_from_a_phone_is_taken(format: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond 16 million pixels (here 160) 2 × 2 are averaged, 4 × 4 beyond four times as many; the size stays known."""
    monkeypatch.setattr(pictures, "_FULL_PIXELS", 160)
    monkeypatch.setattr(pictures, "_BAND_PIXELS", 64)
    monkeypatch.setattr(picture_files, "_SMALL_PIXELS", 0)
    for side, shrink in ((24, 2), (48, 4)):
        ramp = np.add.outer(np.arange(side), np.arange(side)).astype(np.uint8) * 2
        found = read_picture(encoded(Image.fromarray(ramp), format, quality=100))
        assert (found.width, found.height) == (side, side)
        expected = ramp.reshape(side // shrink, shrink, side // shrink, shrink).mean(axis=(1, 3))
        assert found.image.size == expected.shape
        assert np.abs(np.asarray(found.image) - expected).max() <= 1.5


def test_a_picture_becomes_a_models_input() -> None:
    """It is turned grey for a model of one channel, keeps height and width apart, and is stretched only if it must."""
    values = np.arange(24, dtype=np.uint8).reshape(4, 6)
    grey = read_picture(encoded(Image.fromarray(values)))
    assert np.array_equal(grey.pixels(channels=1, height=4, width=6), values[None])
    assert np.array_equal(grey.pixels(channels=3, height=4, width=6), np.stack([values] * 3))
    coloured = read_picture(encoded(Image.new("RGB", (6, 4), (1, 2, 3))))
    assert coloured.pixels(channels=3, height=10, width=20).shape == (3, 10, 20)
    assert coloured.pixels(channels=3, height=10, width=20)[:, 9, 19].tolist() == [1, 2, 3]
    # 0.299 · 1 + 0.587 · 2 + 0.114 · 3 = 1.8.
    assert coloured.pixels(channels=1, height=4, width=6).ravel().tolist() == [2] * 24


def test_what_was_done_to_a_picture_is_remarked() -> None:
    """Stretched is what changed its proportions; enlarged in both directions alike it is not."""
    wide = read_picture(encoded(Image.new("L", (30, 20))))
    assert wide.remarks(height=32, width=32) == ("stretched",)
    assert wide.remarks(height=40, width=60) == ()
    assert read_picture(encoded(Image.new("L", (300, 300)))).remarks(height=32, width=32) == ()
    cut = read_picture(encoded(Image.fromarray(np.full((4, 4), 70_000, np.int32)), "TIFF"))
    assert cut.remarks(height=32, width=32) == ("levels_cut",)


# Grey columns of 0, 60, 120 and 180, two rows of each: 4 wide, 2 high.
_COLUMNS = encoded(Image.fromarray(np.array([[0, 60, 120, 180]] * 2, dtype=np.uint8)))


@pytest.mark.parametrize(
    ("fit", "side", "expected", "remark"),
    [
        # A triangle twice as wide: (0.75 · 0 + 0.75 · 60 + 0.25 · 120) / 1.75, and the same from the other end.
        ("stretch", 2, [[43, 137]] * 2, "stretched"),
        ("crop", 2, [[60, 120]] * 2, "cropped"),
        ("crop", 1, [[90]], "cropped"),
        ("pad", 4, [[0] * 4, [0, 60, 120, 180], [0, 60, 120, 180], [0] * 4], "padded"),
        # Twice as large, with one row of black above and below each; the middle rows are interpolated.
        ("pad", 8, [[0] * 8] * 2 + [[0, 15, 45, 75, 105, 135, 165, 180]] * 4 + [[0] * 8] * 2, "padded"),
    ],
)
def test_a_picture_is_fitted_as_asked(fit: Fit, side: int, expected: list[list[int]], remark: str) -> None:
    """Stretched, cut to its middle, or whole between black; a tall one likewise."""
    wide = read_picture(_COLUMNS)
    assert wide.pixels(channels=1, height=side, width=side, fit=fit)[0].tolist() == expected
    assert wide.remarks(height=side, width=side, fit=fit) == (remark,)
    tall = read_picture(encoded(wide.image.transpose(Image.Transpose.TRANSPOSE)))
    assert tall.pixels(channels=1, height=side, width=side, fit=fit)[0].T.tolist() == expected
    assert wide.remarks(height=side, width=2 * side, fit=fit) == ()


def test_a_line_that_is_padded_stays_a_line() -> None:
    """However thin a picture becomes, a pixel of it is left."""
    line = read_picture(encoded(Image.new("RGB", (500, 1), (1, 2, 3))))
    found = line.pixels(channels=3, height=10, width=10, fit="pad")
    assert found[:, 4].T.tolist() == [[1, 2, 3]] * 10
    assert found.sum() == 60


def test_a_file_that_cannot_be_opened_is_one_error(tmp_path: Path) -> None:
    """Missing, a folder, or a pipe, at which reading would wait for ever."""
    os.mkfifo(tmp_path / "pipe.png")
    for name, why in (
        ("none.png", "No such file"),
        ("", "device, folder or pipe"),
        ("pipe.png", "device, folder or pipe"),
    ):
        with pytest.raises(PictureUnreadable, match=why) as caught:
            read_picture(tmp_path / name)
        assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "BMP", "TIFF", "PPM"])
def test_any_damage_is_one_error(format: str) -> None:
    """A file cut anywhere, or with a few bytes changed, is a picture or `PictureUnreadable`, and nothing else."""
    rng = np.random.default_rng(7)
    noise = Image.fromarray(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8))
    whole = encoded(noise, format, **({"compression": "tiff_lzw"} if format == "TIFF" else {}))
    for _ in range(60):
        damaged = bytearray(whole[: rng.integers(2, len(whole) + 1)])
        for place in rng.integers(0, len(damaged), 3):
            damaged[place] = rng.integers(0, 256)
        with suppress(PictureUnreadable):
            read_picture(bytes(damaged), most_pixels=100_000)

"""What is refused before it costs memory or time: too many pixels, parts or pictures in one file."""

import struct

import numpy as np
import pytest
from PIL import Image

from gauntlet.data.decoded.picture_files import (
    MOST_JPEG_SCANS,
    MOST_JPEG_SEGMENTS,
    MOST_PNG_CHUNKS,
    MOST_WEBP_PIXELS,
    examine,
)
from gauntlet.data.decoded.pictures import read_picture
from gauntlet.errors import PictureUnreadable
from tests.pictures import bmp, chunk, encoded, levels, png, tiff, webp, with_scans

GREY = np.arange(256, dtype=np.uint8).reshape(16, 16)


@pytest.mark.parametrize("format", ["PNG", "WEBP"])
def test_an_animation_is_refused(format: str) -> None:
    """More than one picture in turn has no one class."""
    frames = [Image.fromarray(GREY).convert("RGB"), Image.fromarray(255 - GREY).convert("RGB")]
    with pytest.raises(PictureUnreadable, match="animated"):
        read_picture(encoded(frames[0], format, save_all=True, append_images=frames[1:]))


def test_a_jpeg_of_too_many_scans_is_refused() -> None:
    """Each scan passes over all pixels, whatever little it says; they are counted before anything is decoded."""
    plain = encoded(Image.new("L", (16, 16), 77), "JPEG", progressive=True)
    assert set(levels(read_picture(with_scans(plain, MOST_JPEG_SCANS)).image)) == {77}
    with pytest.raises(PictureUnreadable, match="scans"):
        examine(with_scans(plain, MOST_JPEG_SCANS + 1))


def test_a_jpeg_of_too_many_segments_is_refused() -> None:
    """Comments of nothing, by the thousand."""
    plain = encoded(Image.fromarray(GREY), "JPEG")
    comment = b"\xff\xfe\0\2"
    read_picture(plain[:2] + comment * (MOST_JPEG_SEGMENTS - 100) + plain[2:])
    with pytest.raises(PictureUnreadable, match="segments"):
        examine(plain[:2] + comment * MOST_JPEG_SEGMENTS + plain[2:])


def test_a_png_of_too_many_chunks_is_refused() -> None:
    """Pixels in pieces of nothing, by the hundred thousand; a few thousand, as encoders make them, are put together."""
    plain = png(3, [bytes([1, 2, 3])], 8, 0)
    place = plain.index(b"IDAT") - 4
    assert levels(read_picture(plain[:place] + chunk(b"IDAT", b"") * 5_000 + plain[place:]).image) == [1, 2, 3]
    with pytest.raises(PictureUnreadable, match="pieces"):
        examine(plain[:place] + chunk(b"IDAT", b"") * MOST_PNG_CHUNKS + plain[place:])


def test_a_webp_of_too_many_pixels_is_refused_before_it_is_opened() -> None:
    """libwebp takes four times a picture's memory when it is opened, so its bound is lower and looked at first."""
    side = int(MOST_WEBP_PIXELS**0.5) + 1
    extended = (b"VP8X", struct.pack("<I", 0) + (side - 1).to_bytes(3, "little") * 2)
    lossless = (b"VP8L", b"\x2f" + ((side - 1) | (side - 1) << 14).to_bytes(4, "little"))
    lossy = (b"VP8 ", b"\0\0\0\x9d\1\x2a" + struct.pack("<HH", side, side))
    for first in (extended, lossless, lossy):
        with pytest.raises(PictureUnreadable, match="of a WebP at most 16 million"):
            examine(webp(first))


def huge(format: str) -> bytes:
    """A file of a few bytes that declares 50,000 × 50,000 pixels."""
    match format:
        case "PNG":
            return png(50_000, [b"\0"] * 1, 8, 0, interlaced_height=50_000)
        case "BMP":
            return bmp(50_000, 50_000, 24, b"\0" * 12)
        case "TIFF":
            return tiff(50_000, 50_000, b"\0", {258: 8, 262: 1})
        case "PPM":
            return b"P6 50000 50000 255\n\0\0\0"
        case _:
            whole = encoded(Image.fromarray(GREY), "JPEG")
            frame = whole.index(b"\xff\xc0") + 5
            return whole[:frame] + struct.pack(">HH", 50_000, 50_000) + whole[frame + 4 :]


@pytest.mark.parametrize("format", ["PNG", "JPEG", "BMP", "TIFF", "PPM"])
def test_a_bomb_is_refused_by_its_header(format: str) -> None:
    """What a header says is looked at before there is memory for it."""
    with pytest.raises(PictureUnreadable, match="more than 64000000 pixels"):
        read_picture(huge(format))


def test_the_pixels_have_a_bound() -> None:
    """So many are taken and not one more."""
    assert read_picture(encoded(Image.new("L", (10, 10))), most_pixels=100).width == 10
    with pytest.raises(PictureUnreadable, match="more than 99 pixels"):
        read_picture(encoded(Image.new("L", (10, 10))), most_pixels=99)

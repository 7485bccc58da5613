import numpy as np
import pytest
from PIL import Image

from gauntlet.data.pictures import plain

GREY = np.arange(256, dtype=np.uint8).reshape(16, 16)


def test_sixteen_bits_are_scaled() -> None:
    """65,535 is white and 0 black, with all levels between."""
    picture = Image.fromarray(GREY.astype(np.uint16) * 257)
    assert np.array_equal(np.asarray(plain(picture)), GREY)


def test_transparency_is_white() -> None:
    """What a transparent pixel hides does not show; a half transparent one is half white."""
    picture = Image.new("RGBA", (2, 1), (10, 20, 30, 0))
    picture.putpixel((1, 0), (0, 0, 0, 128))
    seen = plain(picture)
    assert seen.getpixel((0, 0)) == (255, 255, 255)
    assert seen.getpixel((1, 0)) == (127, 127, 127)


def test_a_picture_stands_upright() -> None:
    """The EXIF entry for a quarter turn is applied."""
    exif = Image.Exif()
    exif[0x0112] = 6
    lying = Image.fromarray(GREY).transpose(Image.Transpose.ROTATE_90)
    lying.info["exif"] = exif.tobytes()
    lying.getexif()[0x0112] = 6
    assert np.array_equal(np.asarray(plain(lying)), GREY)


@pytest.mark.parametrize(("mode", "becomes"), [("L", "L"), ("1", "L"), ("P", "RGB"), ("CMYK", "RGB"), ("RGB", "RGB")])
def test_every_mode_becomes_grey_or_colour(mode: str, becomes: str) -> None:
    """Grey stays grey, everything else is RGB."""
    assert plain(Image.fromarray(GREY).convert("RGB").convert(mode)).mode == becomes

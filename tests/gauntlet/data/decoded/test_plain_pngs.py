"""The commonest PNGs, which are decoded by a shorter way than others."""

import struct

import numpy as np
import pytest
from PIL import Image

from gauntlet.data.decoded import picture_files
from gauntlet.data.decoded.picture_files import examine
from gauntlet.data.decoded.pictures import read_picture
from gauntlet.errors import PictureUnreadable
from tests.pictures import chunk, encoded, levels, png, tiff


def _seen(content: bytes) -> list[int | tuple[int, ...]] | str:
    try:
        return levels(read_picture(content).image)
    except PictureUnreadable as error:
        return str(error)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_small_plain_png_is_what_pillow_makes_of_it(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it is decoded by the short way or, as if it were large, by the long one; and damaged ones are refused."""
    generator = np.random.default_rng(0)
    smooth = Image.fromarray(generator.integers(0, 256, (5, 4, 3), dtype=np.uint8)).resize((40, 30)).convert(mode)
    whole = encoded(smooth)
    pixels = whole.index(b"IDAT") + 4
    rows = [row.tobytes() for row in np.asarray(smooth)]
    header = struct.pack(">II5B", 40, 30, 8, 0 if mode == "L" else 2, 0, 0, 0)
    shown = {
        "filtered": whole,
        "unfiltered": png(40, rows, 8, 0 if mode == "L" else 2),
        "turned": png(40, rows, 8, 0 if mode == "L" else 2, (b"eXIf", tiff(1, 1, b"", {274: 6}))),
        "with a text": png(40, rows, 8, 0 if mode == "L" else 2, (b"tEXt", b"Comment\0none")),
        # Pillow leaves them black.
        "too few rows": whole[:8] + chunk(b"IHDR", header) + png(40, rows[:-1], 8, 0 if mode == "L" else 2)[33:],
        "a checksum that is wrong": whole[:-16] + bytes([whole[-16] ^ 1]) + whole[-15:],
    }
    damaged = {
        "cut": whole[: pixels + 40],
        "no pixels": png(40, [], 8, 0)[:16] + whole[16:33] + chunk(b"IEND", b""),
        "no rows": png(40, [], 8, 2),
        "a header that is damaged": whole.replace(struct.pack(">II", 40, 30), struct.pack(">II", 40, 29)),
        "garbled": whole[: pixels + 20] + bytes(20) + whole[pixels + 40 :],
        "no zlib": whole[:pixels] + b"no" + whole[pixels + 2 :],
    }
    files = shown | damaged
    short = {name: _seen(content) for name, content in files.items()}
    assert examine(whole).deflated is not None
    monkeypatch.setattr(picture_files, "_SMALL_PIXELS", 0)
    assert examine(whole).deflated is None
    assert short == {name: _seen(content) for name, content in files.items()}
    assert {name for name, found in short.items() if isinstance(found, str)} == set(damaged)
    assert short["unfiltered"] == levels(smooth)

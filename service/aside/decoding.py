"""`python -m service.aside.decoding`: the process that decodes uploaded pictures, for `service.images`. Loads no torch.

An order is a picture's file, with "forms" and "most_pixels". The answer has "remarks", and behind it the pixels,
uint8 [channels, height, width] for each form; or it is refused, "unknown" where the file is in no format that we take.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from gauntlet.data.pictures import Picture, read_picture
from gauntlet.errors import PictureFormatRefused, PictureUnreadable
from gauntlet.spec.kinds import Fit
from service.aside.bounds import Answer, serve


def decode(order: Mapping[str, Any], content: bytes) -> Answer:
    """The picture as models see it."""
    try:
        picture = read_picture(content, most_pixels=order["most_pixels"])
        pixels, remarks = _fitted(picture, order["forms"])
    except PictureUnreadable as error:
        return {"refused": str(error), "unknown": isinstance(error, PictureFormatRefused)}, ()
    return {"remarks": remarks}, pixels


def _fitted(picture: Picture, forms: Sequence[tuple[int, int, int, Fit]]) -> tuple[list[bytes], list[Sequence[str]]]:
    pixels: list[bytes] = []
    remarks: list[Sequence[str]] = []
    for channels, height, width, fit in forms:
        pixels.append(picture.pixels(channels=channels, height=height, width=width, fit=fit).tobytes())
        remarks.append(picture.remarks(height=height, width=width, fit=fit))
    return pixels, remarks


if __name__ == "__main__":
    serve(decode, beyond_memory="The picture takes more than {} MiB to decode.")

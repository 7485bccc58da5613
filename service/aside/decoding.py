"""`python -m service.aside.decoding`: the process that decodes uploaded pictures, for `service.images`. Loads no torch.

An order is a picture's file, with "shapes" and "most_pixels". The answer has "remarks", and behind it the pixels,
uint8 [channels, height, width] for each shape; or it is refused, "unknown" where the file is in no format that we take.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from gauntlet.data.pictures import Picture, read_picture
from gauntlet.errors import PictureFormatRefused, PictureUnreadable
from service.aside.bounds import Answer, serve


def decode(order: Mapping[str, Any], content: bytes) -> Answer:
    """The picture as models see it."""
    try:
        picture = read_picture(content, most_pixels=order["most_pixels"])
        pixels, remarks = _fitted(picture, order["shapes"])
    except PictureUnreadable as error:
        return {"refused": str(error), "unknown": isinstance(error, PictureFormatRefused)}, ()
    return {"remarks": remarks}, pixels


def _fitted(picture: Picture, shapes: Sequence[Sequence[int]]) -> tuple[list[bytes], list[Sequence[str]]]:
    pixels: list[bytes] = []
    remarks: list[Sequence[str]] = []
    for channels, height, width in shapes:
        pixels.append(picture.pixels(channels=channels, height=height, width=width).tobytes())
        remarks.append(picture.remarks(height=height, width=width))
    return pixels, remarks


if __name__ == "__main__":
    serve(decode, beyond_memory="The picture takes more than {} MiB to decode.")

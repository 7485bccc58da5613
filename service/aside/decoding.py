"""`python -m service.aside.decoding`: decodes uploaded pictures for `service.pictures.images`. Loads no torch.

An order is one or more pictures' files, with "forms", "most_pixels" and the files' "sizes". The answer has the
"remarks" of each picture for each form, and behind it in the same order the pixels, uint8 [channels, height, width];
or it is refused for the picture at "position", "unknown" where the file is in no format that we take.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from gauntlet.data.decoded.pictures import Picture, read_picture
from gauntlet.errors import PictureFormatRefused, PictureUnreadable
from gauntlet.spec.kinds import Fit
from service.aside.bounds import Answer, serve


def decode(order: Mapping[str, Any], content: bytes) -> Answer:
    """The pictures as models see them."""
    pixels: list[bytes] = []
    remarks: list[list[Sequence[str]]] = []
    files = memoryview(content)
    for position, size in enumerate(order["sizes"]):
        file, files = files[:size], files[size:]
        try:
            of_shapes, told = _fitted(read_picture(bytes(file), most_pixels=order["most_pixels"]), order["forms"])
        except PictureUnreadable as error:
            unknown = isinstance(error, PictureFormatRefused)
            return {"refused": str(error), "unknown": unknown, "position": position}, ()
        pixels += of_shapes
        remarks.append(told)
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

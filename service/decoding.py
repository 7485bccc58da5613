"""`python -m service.decoding`: the process that decodes uploaded pictures, for `service.images`. Loads no torch.

A picture comes as a line of JSON, {"bytes", "shapes", "most_pixels", "seconds"}, with its file behind it. The answer
is a line of JSON too: {"remarks", "seconds"}, with the pixels, uint8 [channels, height, width] for each shape, behind
it; or {"refused", "unknown", "seconds"}; or {"failed", "seconds"}, which is a fault of ours.
"""

import json
import resource
import signal
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

from gauntlet.data.pictures import Picture, read_picture
from gauntlet.errors import PictureFormatRefused, PictureUnreadable

# Measured of 64 million pixels: 150 to 370 MB for most kinds, 490 for a progressive JPEG of full colour resolution, 520
# for a TIFF in one strip; of phones' photographs of 50 million pixels 170, progressive 240.
MOST_MEMORY = 640 << 20
_LONGEST_TRACE = 4_000


def main(orders: BinaryIO, answers: BinaryIO) -> None:
    """Answer until `orders` ends."""
    # A crash is told by its signal; it leaves no file of the size of this process behind.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_DATA, (MOST_MEMORY, MOST_MEMORY))
    while line := orders.readline():
        order = json.loads(line)
        answer, pixels = _answer(orders.read(order["bytes"]), order)
        answers.write(json.dumps(answer).encode() + b"\n")
        answers.writelines(pixels)
        answers.flush()


def _answer(content: bytes, order: Mapping[str, Any]) -> tuple[dict[str, Any], Sequence[bytes]]:
    # The kernel ends this process when it has computed for so long, whatever it is at. The wall clock would count what
    # others compute, and a handler of Python's would wait until the decoder is through.
    began = time.process_time()
    signal.setitimer(signal.ITIMER_PROF, order["seconds"])
    try:
        picture = read_picture(content, most_pixels=order["most_pixels"])
        pixels, remarks = _fitted(picture, order["shapes"])
    except PictureUnreadable as error:
        answer, pixels = {"refused": str(error), "unknown": isinstance(error, PictureFormatRefused)}, []
    except MemoryError:
        told = f"The picture takes more than {MOST_MEMORY >> 20} MiB to decode."
        answer, pixels = {"refused": told, "unknown": False}, []
    except Exception:  # noqa: BLE001  # it is told to the process that can log it
        answer, pixels = {"failed": traceback.format_exc()[-_LONGEST_TRACE:]}, []
    else:
        answer = {"remarks": remarks}
    signal.setitimer(signal.ITIMER_PROF, 0)
    return answer | {"seconds": time.process_time() - began}, pixels


def _fitted(picture: Picture, shapes: Sequence[Sequence[int]]) -> tuple[list[bytes], list[Sequence[str]]]:
    pixels: list[bytes] = []
    remarks: list[Sequence[str]] = []
    for channels, height, width in shapes:
        pixels.append(picture.pixels(channels=channels, height=height, width=width).tobytes())
        remarks.append(picture.remarks(height=height, width=width))
    return pixels, remarks


if __name__ == "__main__":
    main(sys.stdin.buffer, sys.stdout.buffer)

"""Pictures' files from their parts, byte by byte, for what no library writes."""

import io
import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image


def encoded(image: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    """The image as Pillow writes it."""
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def packed(samples: Sequence[int], bits: int, order: str = ">") -> bytes:
    """Unsigned samples of 1 to 32 bits one behind the other, from the highest bit on; whole bytes in `order`."""
    if bits in (8, 16, 32):
        return struct.pack(f"{order}{len(samples)}{ {8: 'B', 16: 'H', 32: 'I'}[bits] }", *samples)
    text = "".join(f"{sample:0{bits}b}" for sample in samples)
    text += "0" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big")


def chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(
    width: int, rows: Sequence[bytes], bits: int, colour: int, *chunks: tuple[bytes, bytes], interlaced_height: int = 0
) -> bytes:
    """A PNG of those rows, with chunks between the header and the pixels; or of the rows of Adam7's passes."""
    interlace = interlaced_height > 0
    header = struct.pack(">IIBBBBB", width, interlaced_height or len(rows), bits, colour, 0, 0, interlace)
    before = b"".join(chunk(kind, data) for kind, data in chunks)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + before + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def levels(image: Image.Image) -> list[int | tuple[int, ...]]:
    """The pixels row by row: whole numbers of a grey image, triples of one in RGB."""
    return [tuple(pixel) if image.mode == "RGB" else int(pixel[0]) for pixel in _flat(image)]


def _flat(image: Image.Image) -> list[list[int]]:
    pixels: list[list[int]] = np.asarray(image).reshape(image.width * image.height, -1).tolist()
    return pixels


def tiff(width: int, height: int, pixels: bytes, tags: Mapping[int, int | Sequence[int]], order: str = "<") -> bytes:
    """A TIFF of one strip, behind its directory; `tags` beyond size and strip, or in their place."""
    return tiff_of([(width, height, pixels, tags)], order)


def tiff_of(pages: Sequence[tuple[int, int, bytes, Mapping[int, int | Sequence[int]]]], order: str = "<") -> bytes:
    """A TIFF of those pages."""
    content = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8)
    for number, (width, height, pixels, tags) in enumerate(pages):
        entries = {256: width, 257: height, 273: 0, 277: 1, 278: height, 279: len(pixels)} | dict(tags)
        start = len(content)
        after = start + 2 + 12 * len(entries) + 4
        table, long = b"", b""
        entries[273] = entries[273] or after + sum(
            4 * len(value) for value in entries.values() if isinstance(value, Sequence) and len(value) > 1
        )
        for tag, value in sorted(entries.items()):
            values = [value] if isinstance(value, int) else list(value)
            if len(values) == 1:
                table += struct.pack(order + "HHII", tag, 4, 1, values[0])
            else:
                table += struct.pack(order + "HHII", tag, 4, len(values), after + len(long))
                long += struct.pack(f"{order}{len(values)}I", *values)
        end = after + len(long) + len(pixels)
        last = number == len(pages) - 1
        content += struct.pack(order + "H", len(entries)) + table + struct.pack(order + "I", 0 if last else end)
        content += long + pixels
    return content


def bmp(width: int, height: int, bits: int, pixels: bytes, palette: bytes = b"", compression: int = 0) -> bytes:
    """A BMP, its rows from the bottom up."""
    start = 54 + len(palette)
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, len(pixels), 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", start + len(pixels), 0, 0, start) + header + palette + pixels


def with_scans(picture: bytes, count: int) -> bytes:
    """A progressive JPEG whose last scan is repeated until it has `count` scans."""
    last = picture.rindex(b"\xff\xda")
    scan = picture[last:-2]
    return picture[:-2] + scan * (count - picture.count(b"\xff\xda")) + picture[-2:]


def webp(*chunks: tuple[bytes, bytes]) -> bytes:
    body = b"".join(kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2) for kind, data in chunks)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def rotated(picture: Image.Image) -> bytes:
    """A JPEG lying on its side, with the EXIF entry that turns it upright."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(picture.transpose(Image.Transpose.ROTATE_90), "JPEG", exif=exif, quality=100, subsampling=0)


def sixteen_bit(picture: Image.Image) -> bytes:
    return encoded(Image.fromarray(np.array(picture).astype(np.uint16) * 257))


def animated(picture: Image.Image) -> bytes:
    return encoded(picture, save_all=True, append_images=[picture.point(lambda value: 255 - value)])


def bomb() -> bytes:
    """A PNG that declares 50,000 × 50,000 pixels in a few bytes."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 50_000, 50_000, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")

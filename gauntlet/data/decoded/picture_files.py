"""What a picture's file says before anything is decoded: its format, how much there is to do, and which way is up.

Of a PNG and a JPEG only what the pixels need is handed on, so that no text, profile or thumbnail, however long, costs
time or memory or counts as damage.
"""

import re
import struct
import zlib
from dataclasses import dataclass
from typing import Literal

from gauntlet.data.decoded.tiff_pages import MAGICS as _TIFF
from gauntlet.data.decoded.tiff_pages import exif_orientation, refuse_unless_one_picture
from gauntlet.errors import PictureFormatRefused, PictureUnreadable

# By Pillow's name of the format: the endings that files of it have.
FORMATS = {
    "PNG": (".png",),
    "JPEG": (".jpg", ".jpeg"),
    "WEBP": (".webp",),
    "BMP": (".bmp",),
    "TIFF": (".tif", ".tiff"),
    "PPM": (".ppm", ".pgm", ".pbm"),
}
SUFFIXES = tuple(suffix for suffixes in FORMATS.values() for suffix in suffixes)
FORMATS_IN_WORDS = "PNG, JPEG, WebP, BMP, TIFF and PPM"

# A phone's photograph has 12 to 50 million.
MOST_PIXELS = 64_000_000
# Measured with libjpeg-turbo 3.2: a scan of nothing takes 0.8 ns a pixel, so these of 64 million pixels take 2.6 s. An
# encoder writes 10 to 18.
MOST_JPEG_SCANS = 50
# Of an honest file each holds up to 64 KiB.
MOST_JPEG_SEGMENTS = 4_000
# Encoders cut the pixels into pieces of 8 KiB or more.
MOST_PNG_CHUNKS = 100_000
# libwebp holds a picture four times over while it decodes.
MOST_WEBP_PIXELS = 16_000_000

_PNG = b"\x89PNG\r\n\x1a\n"
_GREY, _COLOUR = 0, 2
# Width, height; bits, colour type, compression, filters, interlacing.
_HEADER = struct.Struct(">II5B")
_PLAIN_KINDS: dict[tuple[int, ...], Literal["L", "RGB"]] = {(8, _GREY, 0, 0, 0): "L", (8, _COLOUR, 0, 0, 0): "RGB"}
# Larger ones take their time in decoding, and are decoded as all are.
_SMALL_PIXELS = 1_000_000
# A marker that has a segment or ends the picture: no stuffed zero, no fill byte, no restart.
_MARKER = re.compile(rb"\xff+([\x02-\xcf\xd8-\xfe])")
_START, _END, _SCAN, _COMMENT, _EXIF = 0xD8, 0xD9, 0xDA, 0xFE, 0xE1
# What programs leave for each other (EXIF, profiles, thumbnails, comments); APP0 and APP14 say how colours are coded.
_FOR_PROGRAMS = frozenset({_COMMENT, *range(_EXIF, 0xEE), 0xEF})

# Formats that people have pictures in, by how their files begin.
_OTHERS = (
    (re.compile(rb"GIF8"), "a GIF"),
    (re.compile(rb".{4}ftyp(hei|hev|mif1|msf1)", re.DOTALL), "a HEIC"),
    (re.compile(rb".{4}ftyp(avif|avis)", re.DOTALL), "an AVIF"),
    (re.compile(rb"\x00\x00\x00\x0cjP|\xff\x4f\xff\x51"), "a JPEG 2000"),
    (re.compile(rb"\x00\x00\x00\x0cJXL|\xff\x0a"), "a JPEG XL"),
    (re.compile(rb"\x00\x00[\x01\x02]\x00"), "an icon"),
    (re.compile(rb"8BPS"), "a Photoshop document"),
    (re.compile(rb"%PDF"), "a PDF"),
    (re.compile(rb"\s*<(\?xml|svg|!DOCTYPE svg)"), "an SVG or XML text"),
)


@dataclass(frozen=True)
class Deflated:
    """The pixels of the commonest PNG: 8 bits, grey (L) or RGB, not interlaced, without a colour key, compressed."""

    mode: Literal["L", "RGB"]
    width: int
    height: int
    content: bytes


@dataclass(frozen=True)
class PictureFile:
    """A file to decode: its format by Pillow's name, its bytes, and what Pillow is not asked for.

    `orientation` is EXIF's, from 1 (upright) to 8. `colour_key` is the one sample (grey) or three (RGB) of `bits` bits
    that mean a transparent pixel in a PNG without alpha; other formats say themselves how many bits they have. Of a
    small PNG of the commonest kind there is nothing but `deflated`.
    """

    format: str
    content: bytes
    orientation: int = 1
    colour_key: tuple[int, ...] | None = None
    bits: int = 8
    deflated: Deflated | None = None


def examine(content: bytes) -> PictureFile:
    """The file's format and what there is to decode.

    Raises:
        PictureFormatRefused: it is of none of `FORMATS`.
        PictureUnreadable: it holds several pictures, takes too much work, or is damaged.
    """
    if content.startswith(_PNG):
        return _examine_png(content)
    if content.startswith(b"\xff\xd8"):
        return _examine_jpeg(content)
    if content.startswith(b"RIFF") and content[8:12] == b"WEBP":
        return _examine_webp(content)
    if content.startswith(_TIFF):
        refuse_unless_one_picture(content)
        # Pillow turns a TIFF upright itself.
        return PictureFile("TIFF", content)
    if content.startswith(b"BM"):
        return PictureFile("BMP", content)
    if re.match(rb"P[1-6f]\s", content):
        return PictureFile("PPM", content)
    raise _refused_format(content)


def _refused_format(content: bytes) -> PictureFormatRefused:
    if not content:
        return PictureFormatRefused("The file is empty.")
    found = next((f"{name} and " for begins, name in _OTHERS if begins.match(content)), "")
    return PictureFormatRefused(f"The file is {found}none of {FORMATS_IN_WORDS}.")


def _examine_png(content: bytes) -> PictureFile:
    kept: list[bytes] = []
    pixels: list[bytes] = []
    header = key = exif = b""
    place = len(_PNG)
    for _ in range(MOST_PNG_CHUNKS):
        length, kind = struct.unpack_from(">I4s", content, place) if place + 8 <= len(content) else (0, b"IEND")
        data = content[place + 8 : place + 8 + length]
        match kind:
            case b"IEND":
                break
            case b"IDAT":
                pixels.append(data)
            case b"IHDR" | b"PLTE" | b"tRNS":
                header = header or (data if kind == b"IHDR" else b"")
                if kind == b"tRNS" and header[9:10] in (bytes([_GREY]), bytes([_COLOUR])):
                    key = data
                else:
                    kept.append(content[place : place + 12 + length])
            case b"eXIf":
                exif = exif or data
            case b"fdAT":
                raise PictureUnreadable("The picture is animated.")
        place += 12 + length
    else:
        raise PictureUnreadable(f"The picture is cut into more than {MOST_PNG_CHUNKS} pieces.")
    compressed = b"".join(pixels)
    is_plain = not key and kept == [_chunk(b"IHDR", header)]
    if is_plain and (deflated := _deflated(header, compressed)) is not None:
        return PictureFile("PNG", b"", exif_orientation(exif), deflated=deflated)
    slim = b"".join((_PNG, *kept, _chunk(b"IDAT", compressed), _chunk(b"IEND", b"")))
    samples = struct.unpack_from(f">{len(key) // 2}H", key) or None
    return PictureFile("PNG", slim, exif_orientation(exif), samples, bits=sum(header[8:9]))


def _deflated(header: bytes, compressed: bytes) -> Deflated | None:
    """What there is to decode of a PNG that has nothing but a header and pixels; None where it is not so simple."""
    if len(header) != _HEADER.size:
        return None
    width, height, *kind = _HEADER.unpack(header)
    mode = _PLAIN_KINDS.get(tuple(kind))
    return Deflated(mode, width, height, compressed) if mode and 0 < width * height <= _SMALL_PIXELS else None


def _chunk(kind: bytes, data: bytes) -> bytes:
    return b"".join((struct.pack(">I", len(data)), kind, data, struct.pack(">I", zlib.crc32(data, zlib.crc32(kind)))))


def _examine_jpeg(content: bytes) -> PictureFile:
    kept: list[bytes] = []
    exif = b""
    scans = 0
    place = taken = 2
    for _ in range(MOST_JPEG_SEGMENTS):
        marker = _MARKER.search(content, place)
        if marker is None or marker[1][0] == _END:
            # What follows is no part of the picture, such as the depth map that a phone appends (MPO).
            end = len(content) if marker is None else marker.end()
            slim = b"".join((content[:2], *kept, content[taken:end]))
            return PictureFile("JPEG", slim, exif_orientation(exif))
        code = marker[1][0]
        length = int.from_bytes(content[marker.end() : marker.end() + 2], "big")
        place = marker.end() + (0 if code == _START else max(length, 2))
        if code == _SCAN:
            scans += 1
        if code in _FOR_PROGRAMS:
            kept.append(content[taken : marker.start()])
            taken = place
            data = content[marker.end() + 2 : place]
            if code == _EXIF and data.startswith(b"Exif\0"):
                exif = exif or data[6:]
        if scans > MOST_JPEG_SCANS:
            raise PictureUnreadable(f"The picture is drawn in more than {MOST_JPEG_SCANS} scans.")
    raise PictureUnreadable(f"The picture's file has more than {MOST_JPEG_SEGMENTS} segments.")


def _examine_webp(content: bytes) -> PictureFile:
    exif = b""
    place = 12
    for _ in range(MOST_PNG_CHUNKS):
        if place + 8 > len(content):
            break
        kind, length = struct.unpack_from("<4sI", content, place)
        if kind == b"ANMF":
            raise PictureUnreadable("The picture is animated.")
        if kind == b"EXIF":
            exif = exif or content[place + 8 : place + 8 + length].removeprefix(b"Exif\0\0")
        place += 8 + length + length % 2
    else:
        raise PictureUnreadable(f"The picture is cut into more than {MOST_PNG_CHUNKS} pieces.")
    # Before Pillow opens it, for libwebp takes the memory at once.
    width, height = _webp_size(content)
    if width * height > MOST_WEBP_PIXELS:
        raise PictureUnreadable(
            f"The picture has {width} × {height} pixels; of a WebP at most {MOST_WEBP_PIXELS // 1_000_000} million "
            "are taken."
        )
    return PictureFile("WEBP", content, exif_orientation(exif))


def _webp_size(content: bytes) -> tuple[int, int]:
    first = content[12:30].ljust(18, b"\0")
    match first[:4]:
        case b"VP8X":
            return 1 + int.from_bytes(first[12:15], "little"), 1 + int.from_bytes(first[15:18], "little")
        case b"VP8L":
            bits = int.from_bytes(first[9:13], "little")
            return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
        case _:
            return int.from_bytes(first[14:16], "little") & 0x3FFF, int.from_bytes(first[16:18], "little") & 0x3FFF

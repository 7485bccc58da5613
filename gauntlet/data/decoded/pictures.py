"""Pictures as people have them, brought to one plain form; for image folders and for uploads alike. No torch."""

import io
import os
import stat
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, assert_never

import numpy as np
from numpy.typing import NDArray
from PIL import BmpImagePlugin, Image, JpegImagePlugin, PngImagePlugin, PpmImagePlugin, TiffImagePlugin, WebPImagePlugin

from gauntlet.data.decoded.levels import Samples, to_levels
from gauntlet.data.decoded.picture_files import MOST_PIXELS, Deflated, PictureFile, examine
from gauntlet.errors import PictureUnreadable
from gauntlet.spec.kinds import Fit

# Beyond it every 2 × 2 pixels are averaged while a picture is read: no network sees so many, and memory has an end.
_FULL_PIXELS = 16_000_000
_BAND_PIXELS = 2_000_000
_MOST_BYTES = 1 << 30

# By EXIF's number; 1 is upright.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_FIRST_ON_ITS_SIDE = 5

_NATIVE = {"I;16BS": "I;16NS", "I;32BS": "I;32NS", "F;32BF": "F;32NF"}

# Image.open knows what is imported.
_PLUGINS = (BmpImagePlugin, JpegImagePlugin, PngImagePlugin, PpmImagePlugin, TiffImagePlugin, WebPImagePlugin)

Remark = Literal["stretched", "cropped", "padded", "levels_cut"]
_DONE_TO_FIT: Mapping[Fit, Remark] = {"stretch": "stretched", "crop": "cropped", "pad": "padded"}


@dataclass(frozen=True)
class Picture:
    """A picture upright as its EXIF entry says, in grey (L) or RGB of 8 bits, transparency over white.

    `width` and `height` are the upright picture's own; `image` is half as wide and high, or a quarter, where it would
    have more than 16 million pixels. `levels_cut` says that samples lay outside 0…255.
    """

    image: Image.Image
    width: int
    height: int
    levels_cut: bool

    def pixels(self, *, channels: int, height: int, width: int, fit: Fit = "stretch") -> NDArray[np.uint8]:
        """As a model's input, [channels, height, width]; resampled once (bilinear) where its own size differs.

        Of other proportions it is stretched, or its middle is taken, or it is put whole in the middle of black.
        """
        mode = "L" if channels == 1 else "RGB"
        converted = self.image if self.image.mode == mode else self.image.convert(mode)
        if converted.size != (width, height):
            converted = _fitted(converted, (width, height), fit)
        # In half the time that numpy takes to ask an image for the same.
        values = np.frombuffer(converted.tobytes(), dtype=np.uint8).reshape(height, width, channels)
        return values.transpose(2, 0, 1).copy()

    def remarks(self, *, height: int, width: int, fit: Fit = "stretch") -> tuple[Remark, ...]:
        """What was done to the picture, as an input of that size, that its owner may not expect."""
        remarks: list[Remark] = []
        if self.width * height != self.height * width:
            remarks.append(_DONE_TO_FIT[fit])
        if self.levels_cut:
            remarks.append("levels_cut")
        return tuple(remarks)


def read_picture(source: bytes | Path, *, most_pixels: int = MOST_PIXELS) -> Picture:
    """The picture in a file, or in the bytes of one.

    Raises:
        PictureFormatRefused: it is in none of `FORMATS`.
        PictureUnreadable: it is damaged, animated or in pages, larger than `most_pixels`, takes far more work than an
            honest one, has samples without an agreed meaning, or the file cannot be opened.
        MemoryError: there is not enough for this picture.
    """
    file = examine(source if isinstance(source, bytes) else content_of(source))
    if file.deflated is not None:
        return _inflated(file.deflated, file.orientation, most_pixels)
    with warnings.catch_warnings():
        # What Pillow only warns of is either within our own bounds or no matter, such as a damaged resolution.
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(file.content), formats=(file.format,)) as image:
                return _decoded(image, file, most_pixels)
        except (PictureUnreadable, MemoryError):
            raise
        except Image.DecompressionBombError as error:
            raise _too_large(most_pixels) from error
        except Exception as error:  # a crafted file makes Pillow's parsers raise all kinds of errors
            raise _damaged(file.format) from error


def _inflated(file: Deflated, orientation: int, most_pixels: int) -> Picture:
    """A small picture, decoded by Pillow's decoder alone: all that it does to come to it takes three times that."""
    if file.width * file.height > most_pixels:
        raise _too_large(most_pixels)
    try:
        image = Image.frombytes(file.mode, (file.width, file.height), file.content, "zip", file.mode)
    except ValueError as error:
        raise _damaged("PNG") from error
    return _upright(image, orientation, file.width, file.height, levels_cut=False)


def content_of(path: Path) -> bytes:
    """The bytes of a picture's file.

    Raises:
        PictureUnreadable: it cannot be opened, is no file, or far larger than a picture's.
    """
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise PictureUnreadable("This is no file but a device, folder or pipe.")
        if found.st_size > _MOST_BYTES:
            raise PictureUnreadable(f"The file has more than {_MOST_BYTES >> 30} GiB.")
        return path.read_bytes()
    except OSError as error:
        raise PictureUnreadable(f"The file cannot be read: {os.strerror(error.errno or 0)}.") from error


def _fitted(image: Image.Image, size: tuple[int, int], fit: Fit) -> Image.Image:
    width, height = size
    match fit:
        case "stretch":
            return image.resize(size, Image.Resampling.BILINEAR)
        case "crop":
            # As much of the middle as has the proportions; its edges may lie within pixels.
            wide = min(image.width, image.height * width / height)
            high = min(image.height, image.width * height / width)
            left, top = (image.width - wide) / 2, (image.height - high) / 2
            return image.resize(size, Image.Resampling.BILINEAR, box=(left, top, left + wide, top + high))
        case "pad":
            scale = min(width / image.width, height / image.height)
            inner = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
            framed = Image.new(image.mode, size)
            place = ((width - inner[0]) // 2, (height - inner[1]) // 2)
            framed.paste(image.resize(inner, Image.Resampling.BILINEAR), place)
            return framed
        case _:
            assert_never(fit)


def _damaged(kind: str) -> PictureUnreadable:
    return PictureUnreadable(f"The {kind} is damaged, or of a kind that is not taken.")


def _too_large(most_pixels: int) -> PictureUnreadable:
    return PictureUnreadable(f"The picture has more than {most_pixels} pixels.")


def _decoded(image: Image.Image, file: PictureFile, most_pixels: int) -> Picture:
    width, height = image.size
    if width * height > most_pixels:
        raise _too_large(most_pixels)
    samples = _samples(image, file)
    shrink = 1
    while width * height > _FULL_PIXELS * shrink**2:
        shrink *= 2
    if shrink > 1:
        # A JPEG's decoder averages by itself, in a quarter of the memory; it does nothing for other formats.
        image.draft(image.mode, (width // shrink, height // shrink))
        shrink //= round(width / image.width)
    image.load()
    plain, cut = _plain(image, samples, max(shrink, 1))
    return _upright(plain, file.orientation, width, height, levels_cut=cut)


def _upright(image: Image.Image, orientation: int, width: int, height: int, *, levels_cut: bool) -> Picture:
    if orientation in _TURNS:
        image = image.transpose(_TURNS[orientation])
    if orientation >= _FIRST_ON_ITS_SIDE:
        width, height = height, width
    return Picture(image, width, height, levels_cut)


def _plain(image: Image.Image, samples: Samples, shrink: int) -> tuple[Image.Image, bool]:
    """The image as L or RGB, band by band, so that what is in between takes little memory."""
    width, height = image.size
    rows = max(_BAND_PIXELS // width // shrink, 1) * shrink
    if rows >= height and shrink == 1:
        return to_levels(image, samples)
    plain, cut = None, False
    for top in range(0, height, rows):
        box = (0, top, width, min(top + rows, height))
        band, band_cut = to_levels(image.crop(box), samples.within(box))
        cut = cut or band_cut
        if shrink > 1:
            band = band.reduce(shrink)
        if plain is None:
            plain = Image.new(band.mode, (band.width, -(-height // shrink)))
        plain.paste(band, (0, top // shrink))
    assert plain is not None
    return plain, cut


def _samples(image: Image.Image, file: PictureFile) -> Samples:
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return _tiff_samples(image)
    if image.mode == "I":
        # A PGM of more than 8 bits, which Pillow brings to 16.
        return Samples(bits=16)
    if file.colour_key is None:
        return Samples(bits=file.bits)
    low = _low_bytes(file) if image.mode == "RGB" and file.bits == 16 else None  # noqa: PLR2004  # bits a channel
    return Samples(bits=file.bits, key=file.colour_key, low_bytes=low)


def _low_bytes(file: PictureFile) -> Image.Image:
    """The lower half of each 16-bit sample of a PNG, of which Pillow keeps the upper one only."""
    with Image.open(io.BytesIO(file.content), formats=(file.format,)) as image:
        # Read as if the lower byte came second.
        image.tile = [tile._replace(args="RGB;16L") for tile in image.tile]
        image.load()
        return image


def _tiff_samples(image: TiffImagePlugin.TiffImageFile) -> Samples:
    for place, tile in enumerate(image.tile):
        if tile.codec_name == "libtiff" and isinstance(tile.args, tuple):
            # libtiff turns samples into the machine's byte order, and Pillow would turn big-endian ones once more.
            raw_mode, *others = tile.args
            image.tile[place] = tile._replace(args=(_NATIVE.get(raw_mode, raw_mode), *others))
    tags = image.tag_v2
    bits, form = tags.get(TiffImagePlugin.BITSPERSAMPLE, (1,))[0], tags.get(TiffImagePlugin.SAMPLEFORMAT, (1,))[0]
    photometric = tags.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION)
    if (
        image.mode == "YCbCr"
        and tags.get(TiffImagePlugin.COMPRESSION, 1) == 1
        and tuple(tags.get(TiffImagePlugin.YCBCRSUBSAMPLING, (2, 2))) != (1, 1)
    ):
        raise PictureUnreadable("The TIFF has YCbCr colours of reduced resolution, uncompressed; save it as RGB.")
    return Samples(bits=bits, signed=form == 2, white_is_zero=photometric == 0)  # noqa: PLR2004  # TIFF 6.0

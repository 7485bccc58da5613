"""Samples of every kind that a picture's file may hold, as 8-bit grey or RGB levels."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gauntlet.errors import PictureUnreadable

_MOST = 255
# Pillow keeps them in a mode of 32 bits.
_BITS_OF_A_PGM = 16
_TRANSPARENT = frozenset({"LA", "La", "PA", "RGBA", "RGBa"})
_COLOURS = frozenset({"P", "RGB", "RGBX", "CMYK", "YCbCr", "LAB"})


@dataclass(frozen=True)
class Samples:
    """What an image's mode in Pillow does not say of its samples.

    They have `bits` in the file, and a TIFF's may be signed, or white where they are zero. `key`, one sample or three,
    means a transparent pixel; where three have 16 bits, `low_bytes` is the RGB image of their lower halves.
    """

    bits: int = 8
    signed: bool = False
    white_is_zero: bool = False
    key: Sequence[int] | None = None
    low_bytes: Image.Image | None = None

    def within(self, box: tuple[int, int, int, int]) -> "Samples":
        """The same of a part of the image."""
        return self if self.low_bytes is None else replace(self, low_bytes=self.low_bytes.crop(box))


def to_levels(image: Image.Image, samples: Samples) -> tuple[Image.Image, bool]:
    """The image as L or RGB, transparency over white; and whether levels were cut to 0…255.

    Of 12 or 16 bits the upper eight count; floats are from 0, black, to 1, white; integers that are signed or have 32
    bits count as levels, and those outside 0…255 are cut.

    Raises:
        PictureUnreadable: floats outside [0, 1] or not finite, or samples of a kind that has no rule here.
    """
    if image.mode == "I" and (samples.signed or samples.bits > _BITS_OF_A_PGM):
        return _cut(np.asarray(image).view(np.int32 if samples.signed else np.uint32))
    if image.mode == "L" and samples.signed:
        return _cut(np.asarray(image).view(np.int8))
    return _uncut(image, samples), False


def _uncut(image: Image.Image, samples: Samples) -> Image.Image:
    mode = image.mode
    if mode == "F":
        return _inverted(_of_floats(np.asarray(image)), samples)
    if mode.startswith("I"):
        return _inverted(_of_sixteen_bits(np.asarray(image), samples), samples)
    if mode in ("1", "L"):
        return _grey(image.convert("L"), samples)
    if mode == "RGB" and samples.key is not None:
        return _keyed(image, samples)
    if mode in _TRANSPARENT or "transparency" in image.info:
        return _over_white(image)
    if mode in _COLOURS:
        return image.convert("RGB")
    raise PictureUnreadable(f"The picture's colours are coded as {mode}, which is not taken; save it as RGB.")


def _of_floats(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    least, most = values.min(), values.max()
    # A comparison with NaN is false.
    if not (least >= 0 and most <= 1):
        found = f"from {least:g} to {most:g}" if np.isfinite((least, most)).all() else "infinite or not a number"
        raise PictureUnreadable(
            f"The picture's samples are floats, which must be from 0 (black) to 1 (white); some of these are {found}."
        )
    return np.rint(values * _MOST).astype(np.uint8)


def _of_sixteen_bits(values: NDArray[np.uint16 | np.int32], samples: Samples) -> NDArray[np.uint8]:
    upper = (values >> (samples.bits - 8)).astype(np.uint8)
    return upper if samples.key is None else np.where(values == samples.key[0], np.uint8(_MOST), upper)


def _cut(values: NDArray[np.signedinteger | np.unsignedinteger]) -> tuple[Image.Image, bool]:
    levels = values.clip(0, _MOST)
    return Image.fromarray(levels.astype(np.uint8)), bool((levels != values).any())


def _inverted(levels: NDArray[np.uint8], samples: Samples) -> Image.Image:
    # Pillow inverts a TIFF whose white is zero up to 8 bits, and no wider ones.
    return Image.fromarray(_MOST - levels if samples.white_is_zero else levels)


def _grey(image: Image.Image, samples: Samples) -> Image.Image:
    if samples.key is None:
        return image
    # Pillow stretches samples of 1, 2 and 4 bits to 0…255, and leaves the key as it was.
    most = (1 << samples.bits) - 1
    level = (samples.key[0] & most) * (_MOST // most)
    return image.point([_MOST if value == level else value for value in range(_MOST + 1)])


def _keyed(image: Image.Image, samples: Samples) -> Image.Image:
    assert samples.key is not None
    levels = np.array(image)
    key = np.array(samples.key)
    if samples.low_bytes is None:
        transparent = levels == key & _MOST
    else:
        transparent = (levels == key >> 8) & (np.asarray(samples.low_bytes) == key & _MOST)
    levels[transparent.all(axis=-1)] = _MOST
    return Image.fromarray(levels)


def _over_white(image: Image.Image) -> Image.Image:
    # Pillow has no way from La to RGBA in one step.
    picture = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")

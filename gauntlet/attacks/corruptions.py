"""Corruptions of CIFAR-10-C and ImageNet-C (Hendrycks & Dietterich 2019, arXiv 1903.12261), a seed for each image.

Written anew, from what the programs do that made both data sets: so what is drawn differs from their files' images, and
its distribution does not. Like them an image is corrupted between 0 and 1 and cut to 8 bits, rounded towards zero.
"""

import io
from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
import scipy  # `ndimage` is loaded where it is first used: a third of a second for nothing where nothing is corrupted
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from gauntlet import seeding
from gauntlet.attacks.corruption_strengths import STRENGTHS
from gauntlet.spec.evaluations.corruptions import CorruptionKind, Strengths

_Pixels = NDArray[np.float64]
_Levels = NDArray[np.uint8]
_WHITE = 255
# Disks up to this radius lie on a grid of this, and have their edge softened over 3 pixels instead of 5.
_SMALL_RADIUS = 8
_WIBBLE = 100


def corrupted(images: Tensor, kind: CorruptionKind, severity: int, strengths: Strengths, seed: int) -> Tensor:
    """The images, float32 [n, c, h, w] in [0, 1] of 8 bits, corrupted; what is drawn follows from the seed and each."""
    levels = (images * _WHITE).round().to("cpu", torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()
    found = []
    for image in levels:
        own = seeding.derive(seed, f"{strengths} {kind}", severity, seeding.content(image.tobytes()))
        found.append(corrupt(image, kind, STRENGTHS[strengths][kind][severity - 1], np.random.default_rng(own)))
    pixels = torch.from_numpy(np.stack(found)).permute(0, 3, 1, 2)
    return pixels.to(images.device, torch.float32).div_(_WHITE).contiguous(memory_format=torch.channels_last)


def corrupt(image: _Levels, kind: CorruptionKind, strength: tuple[float, ...], draw: Generator) -> _Levels:
    """One image, uint8 [h, w, c], at a strength of `STRENGTHS`."""
    changed = _CORRUPTIONS[kind](image / _WHITE, strength, draw)
    return (np.clip(changed, 0, 1) * _WHITE).astype(np.uint8)


def _gaussian_noise(x: _Pixels, strength: tuple[float, ...], draw: Generator) -> _Pixels:
    (deviation,) = strength
    return x + draw.normal(scale=deviation, size=x.shape)


def _shot_noise(x: _Pixels, strength: tuple[float, ...], draw: Generator) -> _Pixels:
    (photons,) = strength
    return draw.poisson(x * photons) / photons


def _impulse_noise(x: _Pixels, strength: tuple[float, ...], draw: Generator) -> _Pixels:
    (share,) = strength
    struck = draw.random(x.shape) <= share
    return np.where(struck, draw.integers(2, size=x.shape), x)


def _defocus_blur(x: _Pixels, strength: tuple[float, ...], _draw: Generator) -> _Pixels:
    radius, softness = strength
    reach, edge = (_SMALL_RADIUS, 1) if radius <= _SMALL_RADIUS else (int(radius), 2)
    across = np.arange(-reach, reach + 1)
    disk = (across[:, None] ** 2 + across**2 <= radius**2).astype(np.float64)
    taps = np.exp(-(np.arange(-edge, edge + 1) ** 2) / (2 * softness**2))
    for axis in (0, 1):
        disk = scipy.ndimage.correlate1d(disk, taps / taps.sum(), axis=axis, mode="mirror")
    return _filtered(x, disk / disk.sum())


def _filtered(x: _Pixels, kernel: _Pixels) -> _Pixels:
    blurred: _Pixels = scipy.ndimage.correlate(x, kernel[:, :, None], mode="mirror")
    return blurred


def _glass_blur(x: _Pixels, strength: tuple[float, ...], draw: Generator) -> _Pixels:
    """A pixel takes its neighbour's value, which keeps its own: the swap in their programs came to that."""
    deviation, reach, times = strength[0], int(strength[1]), int(strength[2])
    height, width, channels = x.shape
    seen = (_smooth(x, deviation) * _WHITE).astype(np.uint8) / _WHITE
    source = list(range(height * width))
    for _ in range(times):
        rows = range(height - reach, reach, -1)
        columns = range(width - reach, reach, -1)
        steps = iter(draw.integers(-reach, reach, size=(len(rows) * len(columns), 2)) @ np.array([1, width]))
        for row in rows:
            for column in columns:
                place = row * width + column
                source[place] = source[place + next(steps)]
    shuffled = seen.reshape(-1, channels)[source].reshape(x.shape)
    return _smooth(shuffled, deviation)


def _smooth(x: _Pixels, deviation: float) -> _Pixels:
    smoothed: _Pixels = scipy.ndimage.gaussian_filter(x, (deviation, deviation, 0), mode="nearest")
    return smoothed


def _zoom_blur(x: _Pixels, strength: tuple[float, ...], _draw: Generator) -> _Pixels:
    end, step = strength
    factors = np.arange(1, end, step)
    return (x + sum(_zoomed(x, factor) for factor in factors)) / (len(factors) + 1)


def _zoomed(x: _Pixels, factor: float) -> _Pixels:
    """The middle of the image, as large as all of it."""
    sides = x.shape[:2]
    kept = [int(np.ceil(side / factor)) for side in sides]
    begin = [(side - inner) // 2 for side, inner in zip(sides, kept, strict=True)]
    middle = x[begin[0] : begin[0] + kept[0], begin[1] : begin[1] + kept[1]]
    large = scipy.ndimage.zoom(middle, (factor, factor, 1), order=1)
    # No factor reaches 1.5, so one row and one column are too many at most: the last, as in their programs.
    return large[: sides[0], : sides[1]]  # type: ignore[no-any-return]  # scipy has no types


def _fog(x: _Pixels, strength: tuple[float, ...], draw: Generator) -> _Pixels:
    thickness, decay = strength
    height, width = x.shape[:2]
    brightest = float(x.max())
    cloud = _plasma(1 << (max(height, width) - 1).bit_length(), decay, draw)[:height, :width, None]
    return (x + thickness * cloud) * brightest / (brightest + thickness)


def _plasma(side: int, decay: float, draw: Generator) -> _Pixels:
    """A landscape by midpoint displacement on a torus, [side, side] in [0, 1]; `side` is a power of two."""
    height = np.zeros((side, side))
    step, wibble = side, float(_WIBBLE)

    def displaced(four: _Pixels) -> _Pixels:
        return four / 4 + wibble * draw.uniform(-wibble, wibble, four.shape)

    while step > 1:
        half = step // 2
        corners = height[::step, ::step]
        below = np.roll(corners, -1, axis=0)
        middles = displaced(corners + below + np.roll(corners + below, -1, axis=1))
        height[half::step, half::step] = middles
        height[::step, half::step] = displaced(
            middles + np.roll(middles, 1, axis=0) + corners + np.roll(corners, -1, axis=1)
        )
        height[half::step, ::step] = displaced(middles + np.roll(middles, 1, axis=1) + corners + below)
        step, wibble = half, wibble / decay
    height -= height.min()
    return height / float(height.max())


def _brightness(x: _Pixels, strength: tuple[float, ...], _draw: Generator) -> _Pixels:
    """The largest channel, HSV's value, rises; hue and saturation stay, so the others rise in proportion."""
    (more,) = strength
    value: _Pixels = x.max(axis=2, keepdims=True)
    brighter = np.minimum(value + more, 1)
    return np.where(value > 0, x * brighter / np.where(value > 0, value, 1), brighter)


def _contrast(x: _Pixels, strength: tuple[float, ...], _draw: Generator) -> _Pixels:
    (factor,) = strength
    mean: _Pixels = x.mean(axis=(0, 1))
    return (x - mean) * factor + mean


def _elastic_transform(x: _Pixels, strength: tuple[float, ...], draw: Generator) -> _Pixels:
    height, width = x.shape[:2]
    side = min(height, width)
    displacement, smoothness, corners = (share * side for share in strength)
    moved = _affine(x, corners, draw)
    along = [
        displacement
        * scipy.ndimage.gaussian_filter(
            draw.uniform(-1, 1, size=(height, width)), smoothness, mode="reflect", truncate=3
        )
        for _ in range(2)
    ]
    rows, columns = np.mgrid[:height, :width]
    at = [rows + along[1], columns + along[0]]
    return np.stack(
        [scipy.ndimage.map_coordinates(channel, at, order=1, mode="reflect") for channel in _channels(moved)], 2
    )


def _affine(x: _Pixels, reach: float, draw: Generator) -> _Pixels:
    """The affine map that takes the corners of a triangle in the image's middle to points nearby."""
    centre = np.array(x.shape[1::-1]) // 2
    third = min(x.shape[:2]) // 3
    before = centre + third * np.array([[1, 1], [1, -1], [-1, -1]])
    after = before + draw.uniform(-reach, reach, size=before.shape)
    # From a point of the result, (x, y, 1), to where it comes from.
    back = np.linalg.solve(np.column_stack([after, np.ones(3)]), before).T
    matrix, offset = back[::-1, 1::-1], back[::-1, 2]
    return np.stack(
        [scipy.ndimage.affine_transform(channel, matrix, offset, order=1, mode="mirror") for channel in _channels(x)],
        axis=2,
    )


def _channels(x: _Pixels) -> list[_Pixels]:
    return list(np.moveaxis(x, 2, 0))


def _pixelate(x: _Pixels, strength: tuple[float, ...], _draw: Generator) -> _Pixels:
    (share,) = strength
    height, width = x.shape[:2]
    small = max(1, int(width * share)), max(1, int(height * share))
    return _pixels(_picture(x).resize(small, Image.Resampling.BOX).resize((width, height), Image.Resampling.BOX))


def _jpeg_compression(x: _Pixels, strength: tuple[float, ...], _draw: Generator) -> _Pixels:
    (quality,) = strength
    file = io.BytesIO()
    _picture(x).save(file, "JPEG", quality=int(quality))
    with Image.open(file) as read:
        return _pixels(read)


def _picture(x: _Pixels) -> Image.Image:
    levels = (x * _WHITE).round().astype(np.uint8)
    return Image.fromarray(levels[:, :, 0] if levels.shape[2] == 1 else levels)


def _pixels(picture: Image.Image) -> _Pixels:
    levels = np.asarray(picture)
    # The eighth of a level outlasts the rounding towards zero, which would take some for the level below.
    return (levels.reshape(*levels.shape[:2], -1) + 1 / 8) / _WHITE


_CORRUPTIONS: Final[Mapping[CorruptionKind, Callable[[_Pixels, tuple[float, ...], Generator], _Pixels]]] = {
    "gaussian_noise": _gaussian_noise,
    "shot_noise": _shot_noise,
    "impulse_noise": _impulse_noise,
    "defocus_blur": _defocus_blur,
    "glass_blur": _glass_blur,
    "zoom_blur": _zoom_blur,
    "fog": _fog,
    "brightness": _brightness,
    "contrast": _contrast,
    "elastic_transform": _elastic_transform,
    "pixelate": _pixelate,
    "jpeg_compression": _jpeg_compression,
}

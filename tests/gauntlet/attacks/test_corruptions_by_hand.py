"""Corruptions beside their definitions, written down pixel by pixel, with the same draws."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.random import Generator
from numpy.typing import NDArray

from gauntlet.attacks.corruptions import _CORRUPTIONS
from gauntlet.spec.evaluations.corruptions import CorruptionKind

Pixels = NDArray[np.float64]
# Not square, with sides that two and three do not divide, in colours, of whole levels.
IMAGE: Pixels = np.random.default_rng(0).integers(256, size=(33, 23, 3)) / 255


def convolved(x: Pixels, kernel: Pixels, border: str) -> Pixels:
    """Each value the sum of those around, weighted; beyond the border what `np.pad` puts there."""
    down, right = (side // 2 for side in kernel.shape)
    padded = np.pad(x, ((down, down), (right, right), (0, 0)), mode=border)  # type: ignore[call-overload]  # a name
    found = np.zeros_like(x)
    for row in range(kernel.shape[0]):
        for column in range(kernel.shape[1]):
            found += kernel[row, column] * padded[row : row + x.shape[0], column : column + x.shape[1]]
    return found


def bell(deviation: float, reach: int) -> Pixels:
    """A Gaussian up to `reach` pixels away, in both directions."""
    along = np.array([np.exp(-(step**2) / (2 * deviation**2)) for step in range(-reach, reach + 1)])
    square: Pixels = np.outer(along, along)
    return square / square.sum()


def defocused(x: Pixels, strength: tuple[float, ...], _draw: Generator) -> Pixels:
    """By a disk on 17 × 17 pixels or its own, softened over 3 or 5; the border's pixels are not repeated."""
    radius, softness = strength
    reach = 8 if radius <= 8 else int(radius)
    side = range(-reach, reach + 1)
    disk = np.array([[float(row * row + column * column <= radius**2) for column in side] for row in side])
    soft = convolved(disk[:, :, None], bell(softness, 1 if radius <= 8 else 2), "reflect")[:, :, 0]
    return convolved(x, soft / soft.sum(), "reflect")


def through_glass(x: Pixels, strength: tuple[float, ...], draw: Generator) -> Pixels:
    """Blurred, cut to levels, each pixel given a neighbour's value from the far corner on, and blurred again."""
    deviation, reach, times = strength[0], int(strength[1]), int(strength[2])
    blur = bell(deviation, int(4 * deviation + 0.5))
    x = np.floor(np.clip(convolved(x, blur, "edge"), 0, 1) * 255) / 255
    height, width, _ = x.shape
    for _ in range(times):
        places = [
            (row, column) for row in range(height - reach, reach, -1) for column in range(width - reach, reach, -1)
        ]
        for (row, column), (across, down) in zip(
            places, draw.integers(-reach, reach, size=(len(places), 2)), strict=True
        ):
            x[row, column] = x[row + down, column + across]
    return convolved(x, blur, "edge")


def zoomed(x: Pixels, strength: tuple[float, ...], _draw: Generator) -> Pixels:
    """The mean of the image and its middle, larger and larger, between whose pixels values lie on a line."""
    end, step = strength
    factors = np.arange(1, end, step)
    total = x.copy()
    for factor in factors:
        larger = x
        for axis in (0, 1):
            side = x.shape[axis]
            kept = int(np.ceil(side / factor))
            begin = (side - kept) // 2
            middle = larger.take(range(begin, begin + kept), axis=axis)
            count = round(kept * factor)
            places = np.linspace(0, kept - 1, count)
            larger = np.apply_along_axis(
                lambda line, at=places: np.interp(at, np.arange(len(line)), line), axis, middle
            )
            over = (count - side) // 2
            larger = larger.take(range(over, over + side), axis=axis)
        total += larger
    return total / (len(factors) + 1)


def fogged(x: Pixels, strength: tuple[float, ...], draw: Generator) -> Pixels:
    """Midpoints on a torus of 64 × 64: of squares, then of the diamonds along rows, then of those along columns."""
    thickness, decay = strength
    side = 64
    land, wibble, step = np.zeros((side, side)), 100.0, side

    def raised(places: list[tuple[int, int]], away: list[tuple[int, int]]) -> None:
        drawn = draw.uniform(-wibble, wibble, len(places))
        for (row, column), more in zip(places, drawn, strict=True):
            around = [land[(row + down) % side, (column + right) % side] for down, right in away]
            land[row, column] = sum(around) / 4 + wibble * more

    while step > 1:
        half = step // 2
        corners, middles = range(0, side, step), range(half, side, step)
        diamond = [(-half, 0), (half, 0), (0, -half), (0, half)]
        raised(
            [(row, column) for row in middles for column in middles],
            [(a, b) for a in (-half, half) for b in (-half, half)],
        )
        raised([(row, column) for row in corners for column in middles], diamond)
        raised([(row, column) for row in middles for column in corners], diamond)
        step, wibble = half, wibble / decay
    cloud = (land - land.min()) / (land.max() - land.min())
    return (x + thickness * cloud[: x.shape[0], : x.shape[1], None]) * x.max() / (x.max() + thickness)


def elastic(x: Pixels, strength: tuple[float, ...], draw: Generator) -> Pixels:
    """Three points of the middle go each its way and the image with them, then every pixel by a smoothed step."""
    height, width, _ = x.shape
    displacement, deviation, corners = (share * min(height, width) for share in strength)
    third, centre = min(height, width) // 3, np.array([width // 2, height // 2])
    before = centre + np.array([[third, third], [third, -third], [-third, -third]])
    after = before + draw.uniform(-corners, corners, (3, 2))
    # (x, y) of the image = matrix · (x, y) of the result + offset, by the triangle's two sides.
    matrix = (before[1:] - before[0]).T @ np.linalg.inv((after[1:] - after[0]).T)
    at = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=2)
    moved = sampled(x, (at - after[0]) @ matrix.T + before[0], "reflect")
    steps = []
    for _ in range(2):
        field = draw.uniform(-1, 1, (height, width))
        reach = int(3 * deviation + 0.5)
        steps.append(displacement * convolved(field[:, :, None], bell(deviation, reach), "symmetric")[:, :, 0])
    return sampled(moved, at + np.stack(steps, axis=2), "symmetric")


def sampled(x: Pixels, at: Pixels, border: str) -> Pixels:
    """The values at places (x, y), each of the four pixels around it by how near it is."""
    margin = 40
    padded = np.pad(x, ((margin, margin), (margin, margin), (0, 0)), mode=border)  # type: ignore[call-overload]  # likewise
    low = np.floor(at).astype(int)
    share = at - low
    found = np.zeros_like(x)
    for down in (0, 1):
        for right in (0, 1):
            weight = np.abs(1 - right - share[:, :, 0]) * np.abs(1 - down - share[:, :, 1])
            found += weight[:, :, None] * padded[low[:, :, 1] + down + margin, low[:, :, 0] + right + margin]
    return found


@pytest.mark.parametrize(
    ("kind", "strength", "by_hand"),
    [
        ("defocus_blur", (1.5, 0.5), defocused),
        ("defocus_blur", (8, 0.5), defocused),
        ("defocus_blur", (10, 0.5), defocused),
        ("glass_blur", (0.4, 1, 2), through_glass),
        ("glass_blur", (0.7, 2, 1), through_glass),
        ("zoom_blur", (1.26, 0.01), zoomed),
        ("zoom_blur", (1.31, 0.03), zoomed),
        ("fog", (0.75, 2.5), fogged),
        ("elastic_transform", (0, 0.05, 0.08), elastic),
        ("elastic_transform", (0.08, 0.06, 0.06), elastic),
        ("elastic_transform", (2, 0.2, 0.1), elastic),
    ],
)
def test_a_corruption_is_its_definition(
    kind: CorruptionKind, strength: tuple[float, ...], by_hand: Callable[[Pixels, tuple[float, ...], Generator], Pixels]
) -> None:
    """Every pixel of an image, before it is cut to levels."""
    found = _CORRUPTIONS[kind](IMAGE, strength, np.random.default_rng(1))
    np.testing.assert_allclose(found, by_hand(IMAGE.copy(), strength, np.random.default_rng(1)), atol=1e-9)

"""Hills over two pixels, and one image's way up them in plain arithmetic: what attacks by steps are held against."""

from fractions import Fraction
from math import copysign, fmod, hypot

import torch
from torch import Tensor, nn

from gauntlet.spec.evaluations.attacks import Norm

EPS, COUNT = Fraction(1, 10), 24
NORMS: tuple[Norm, ...] = ("Linf", "L2")
# How fast each hill rises and falls along the two pixels.
WAVES = ((0.7, 0.4), (2.0, 3.0), (9.0, 7.0))
HELD = 2.3
Point = tuple[float, float]


class Hills(nn.Module):
    """Logits of which the second is a sum of smooth hills, up to 3, wider than the ball and narrower.

    The right class's is `held`; wherever a point is higher, it is misclassified.
    """

    def __init__(self, held: float) -> None:
        super().__init__()
        self.held = held
        self.seen: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append(images.detach().clone())
        a, b = images.flatten(1).T
        each = [(wave[0] * a + wave[1] * b + 0.3).frac() for wave in WAVES]
        height = sum(16 * along * along * (1 - along) * (1 - along) for along in each)
        return torch.stack([torch.full_like(height, self.held), height], dim=1)


def height_and_slope(point: Point) -> tuple[float, Point]:
    height, slope = 0.0, (0.0, 0.0)
    for wave in WAVES:
        along = fmod(wave[0] * point[0] + wave[1] * point[1] + 0.3, 1)
        height += 16 * along * along * (1 - along) * (1 - along)
        rate = 32 * along * (1 - along) * (1 - 2 * along)
        slope = slope[0] + rate * wave[0], slope[1] + rate * wave[1]
    return height, slope


def nearest(point: Point, clean: Point, norm: Norm) -> Point:
    """The projection on the ball, and then on [0, 1]."""
    a, b = point[0] - clean[0], point[1] - clean[1]
    if norm == "Linf":
        a, b = (min(max(away, -0.1), 0.1) for away in (a, b))
    else:
        share = min(0.1 / hypot(a, b), 1)
        a, b = share * a, share * b
    return min(max(clean[0] + a, 0), 1), min(max(clean[1] + b, 0), 1)


def unit(slope: Point, norm: Norm) -> Point:
    if norm == "Linf":
        return copysign(1, slope[0]), copysign(1, slope[1])
    return slope[0] / hypot(*slope), slope[1] / hypot(*slope)


def moved(at: Point, slope: Point, step: float, norm: Norm) -> Point:
    """A step along the slope, of that length in the norm."""
    way = unit(slope, norm)
    return at[0] + step * way[0], at[1] + step * way[1]


def somewhere() -> Tensor:
    """Images of two pixels, [n, 1, 1, 2]."""
    return torch.rand(COUNT, 1, 1, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(3))


def points(images: Tensor) -> list[Point]:
    """Their pixels, as numbers."""
    return [(a, b) for a, b in images.flatten(1).tolist()]


def is_wrong(point: Point) -> bool:
    """Whether a model that is right up to the height `HELD` is wrong there."""
    return height_and_slope(point)[0] > HELD

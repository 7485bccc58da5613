"""Auto-PGD against its Algorithm 1, written out for one image at a time."""

from collections.abc import Iterator
from fractions import Fraction
from functools import partial
from math import ceil

import pytest
import torch
from torch import Tensor

from gauntlet.attacks import auto_step
from gauntlet.attacks.standing import Attacked, Standing
from gauntlet.attacks.targeted import difference
from gauntlet.spec.evaluations.attacks import Norm
from tests.gauntlet.attacks.hills import (
    COUNT,
    EPS,
    HELD,
    NORMS,
    Hills,
    Point,
    height_and_slope,
    is_wrong,
    moved,
    nearest,
    points,
    somewhere,
)

assert_near = partial(torch.testing.assert_close, rtol=0, atol=1e-6)


def checkpoints(steps: int) -> list[int]:
    """§3.1: p_1 = 0.22, p_(j+1) = p_j + max(p_j − p_(j−1) − 0.03, 0.06), and w_j = ⌈p_j · steps⌉."""
    shares = [Fraction(0), Fraction(22, 100)]
    while shares[-1] < 1:
        shares.append(shares[-1] + max(shares[-1] - shares[-2] - Fraction(3, 100), Fraction(6, 100)))
    return [ceil(share * steps) for share in shares[1:]]


def algorithm_1(clean: Point, start: Point, steps: int, norm: Norm) -> Iterator[Point]:
    """The points of one image: α = ρ = 0.75, and a first step of 2 eps."""
    step, at, before, looks = 0.2, start, start, checkpoints(steps)
    value, slope = height_and_slope(at)
    best, best_at, best_slope = value, at, slope
    rises, last_look, best_then, just_halved = 0, 0, best, False
    yield at
    for k in range(1, steps + 1):
        ahead = nearest(moved(at, slope, step, norm), clean, norm)
        if k > 1:
            a, b = (x + 0.75 * (z - x) + 0.25 * (x - last) for x, z, last in zip(at, ahead, before, strict=True))
            ahead = nearest((a, b), clean, norm)
        before, at = at, ahead
        yield at
        lower = value
        value, slope = height_and_slope(at)
        rises += value > lower
        if value > best:
            best, best_at, best_slope = value, at, slope
        if k in looks:
            few = rises < 0.75 * (k - last_look)
            idle = not just_halved and best == best_then
            if few or idle:
                step, at, slope = step / 2, best_at, best_slope
            just_halved = few or idle
            rises, last_look, best_then = 0, k, best


@pytest.fixture(scope="module")
def clean() -> Tensor:
    return somewhere()


@pytest.fixture(scope="module")
def starts(clean: Tensor) -> Tensor:
    generator = torch.Generator().manual_seed(4)
    away = 0.14 * (torch.rand(COUNT, 1, 1, 2, dtype=torch.float64, generator=generator) - 0.5)
    return (clean + away).clamp(0, 1)


def ascended(model: Hills, clean: Tensor, starts: Tensor, steps: int, norm: Norm, *, stay: bool = False) -> Standing:
    labels = torch.zeros(COUNT, dtype=torch.int64)
    standing, attacked = Standing(clean, stay=stay), Attacked(clean, labels, labels + 1)
    auto_step.ascend(model, attacked, starts, EPS, norm=norm, steps=steps, objective=difference, standing=standing)
    return standing


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("steps", [1, 23, 50])
def test_every_step_is_that_of_algorithm_1(clean: Tensor, starts: Tensor, norm: Norm, steps: int) -> None:
    """Its momentum, checkpoints, halvings and returns to the best point, of images that all withstand it."""
    model = Hills(held=4)
    standing = ascended(model, clean, starts, steps, norm)
    assert len(model.seen) == steps + 1
    assert_near(torch.cat(model.seen, dim=1).flatten(2), walks(clean, starts, steps, norm))
    assert torch.equal(standing.found, model.seen[-1])
    assert len(standing.left) == COUNT


@pytest.mark.parametrize("norm", NORMS)
def test_an_image_leaves_at_its_first_misclassified_point(clean: Tensor, starts: Tensor, norm: Norm) -> None:
    """What is found of it is that point, be it the start or the last; of any other its last, and it is left."""
    standing, steps = ascended(Hills(HELD), clean, starts, 30, norm), []
    for number, walk in enumerate(walks(clean, starts, 30, norm)):
        wrong = [step for step, point in enumerate(walk.tolist()) if is_wrong(point)]
        steps.append(wrong[0] if wrong else -1)
        assert_near(standing.found[number].flatten(), walk[steps[-1]])
        assert (number in standing.left.tolist()) is not bool(wrong)
    assert {-1, 0} < set(steps)
    assert len(set(steps)) > 4


def walks(clean: Tensor, starts: Tensor, steps: int, norm: Norm) -> Tensor:
    """Of each image all points, [n, steps + 1, 2]."""
    pairs = zip(points(clean), points(starts), strict=True)
    return torch.tensor([list(algorithm_1(*pair, steps, norm)) for pair in pairs], dtype=torch.float64)

"""What decision 0040 rests on, with fewer trials."""

import numpy as np
import pytest

from benchmarks.correctness.looking_often import Rule, intervals, stopped
from gauntlet.results.intervals import wilson_interval


def test_its_intervals_are_the_librarys() -> None:
    right, n = np.array([3, 40]), np.array([100, 100])
    low, high = intervals(right, n)
    for place in (0, 1):
        assert (low[place], high[place]) == pytest.approx(wilson_interval(right[place] / 100, 100))


def test_stopping_when_an_interval_is_narrow_hardly_moves_its_coverage() -> None:
    """At ±2 points by looks of 1,000: within 2 points of 95 %; where 2,000 always do it is a fixed number's."""
    draw = np.random.default_rng(1)
    for p in (0.1, 0.14, 0.25, 0.5):
        coverage, images, fixed = stopped(Rule(1_000, 10_000, 0.02), p, draw, 4_000)
        assert 0.93 < coverage < 0.98
        assert 1_000 <= images <= 3_000
        if p == 0.25:
            assert (coverage, images) == (fixed, 2_000)

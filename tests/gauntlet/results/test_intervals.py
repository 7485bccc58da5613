"""Intervals and tests against values worked out by hand or published."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gauntlet.results.intervals import difference_interval, mean_interval, paired_p, wilson_interval
from gauntlet.results.outcome import Accuracy


@pytest.mark.parametrize(
    ("right", "n", "low", "high"),
    [
        (0, 10, 0.0, 0.2775),
        (5, 10, 0.2366, 0.7634),
        (10, 10, 0.7225, 1.0),
        (1, 1, 0.2065, 1.0),
        (500, 1000, 0.4691, 0.5309),
    ],
)
def test_wilson_intervals_are_the_known_ones(right: int, n: int, low: float, high: float) -> None:
    """The 95 % score interval agrees with published values."""
    assert wilson_interval(right / n, n) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 10**6).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_an_interval_holds_its_fraction(counted: tuple[int, int]) -> None:
    """An interval lies in [0, 1] and holds the fraction it belongs to; the mirrored fraction has the mirrored one."""
    right, n = counted
    accuracy = Accuracy.of(right, n)
    low, high = accuracy.interval
    assert 0 <= low <= accuracy.value + 1e-12
    assert accuracy.value - 1e-12 <= high <= 1
    assert wilson_interval(1 - right / n, n) == pytest.approx((1 - high, 1 - low), abs=1e-9)


@pytest.mark.parametrize(
    ("first", "first_n", "second", "second_n", "low", "high"),
    [(56, 70, 48, 80, 0.0524, 0.3339), (9, 10, 3, 10, 0.1705, 0.8090), (10, 10, 0, 10, 0.6075, 1.0)],
)
def test_intervals_of_differences_are_newcombes(
    first: int, first_n: int, second: int, second_n: int, low: float, high: float
) -> None:
    """Three of the paper's own examples, of its Table II."""
    found = difference_interval(first / first_n, first_n, second / second_n, second_n)
    assert found == pytest.approx((low, high), abs=5e-5)


def test_the_interval_of_a_mean_is_students() -> None:
    """Of 1, 2, 3: mean 2, sd 1, and t(2) is 4.30265 in every table; of 0, 1: t(1) is 12.7062."""
    assert mean_interval([1, 2, 3]) == pytest.approx((2 - 2.484138, 2 + 2.484138), abs=1e-5)
    assert mean_interval([0, 1]) == pytest.approx((0.5 - 6.3531, 0.5 + 6.3531), abs=1e-4)


def test_the_paired_test_is_students() -> None:
    """Differences 1, 2, 3 give t = 2√3 with 2 degrees of freedom, whose two-sided p is 1 − t/√(2 + t²)."""
    t = 2 * 3**0.5
    assert paired_p([1, 2, 3]) == pytest.approx(1 - t / (2 + t * t) ** 0.5)
    assert paired_p([-1, -2, -3]) == paired_p([1, 2, 3])
    assert paired_p([-1, 1]) == pytest.approx(1)


def test_one_seed_says_nothing_of_seeds() -> None:
    """Fewer than two values have no interval and no p, and neither has a test of differences that are all the same."""
    assert mean_interval([0.5]) is None
    assert paired_p([0.5]) is None
    assert paired_p([]) is None
    assert paired_p([0.25, 0.25, 0.25]) is None
    assert paired_p([0.6 - 0.5, 0.52 - 0.42]) is None  # 5.6e-17 apart in floating point

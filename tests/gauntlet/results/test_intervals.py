"""Intervals and tests against values worked out by hand or published."""

import math
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gauntlet.results.accuracy import Accuracy
from gauntlet.results.intervals import (
    difference_interval,
    holm,
    mean_interval,
    paired_p,
    student_interval,
    wilson_interval,
)


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
    assert 0 <= low <= accuracy.value <= high <= 1
    assert wilson_interval(1 - right / n, n) == pytest.approx((1 - high, 1 - low), abs=1e-9)


def test_an_interval_of_none_or_all_ends_there() -> None:
    """Exactly, so that no bar of an error is shorter than nothing, which Matplotlib refuses to draw."""
    for n in (*range(1, 501), 1_000, 2_000, 10_000):
        assert wilson_interval(0.0, n)[0] == 0
        assert wilson_interval(1.0, n)[1] == 1


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


@pytest.mark.parametrize(
    ("table", "low", "high"),
    [
        # Tables of Newcombe 1998, Altman et al. 2000 and, two, Fagerland et al. 2017; the ends were worked out apart
        # from this code by the formula as biostatUZH, a package for R, has it.
        ((36, 12, 2, 0), 0.0569, 0.3404),
        ((14, 5, 0, 22), 0.0115, 0.2265),
        ((1, 1, 7, 12), -0.5069, -0.0256),
        ((59, 6, 16, 80), -0.1186, -0.0046),
    ],
)
def test_intervals_of_paired_differences_are_newcombes(table: tuple[int, ...], low: float, high: float) -> None:
    """The same things looked at twice: right in both, in the first only, in the second only, in neither."""
    both, first, second, _ = table
    n = sum(table)
    found = difference_interval((both + first) / n, n, (both + second) / n, n, both=both)
    assert found == pytest.approx((low, high), abs=5e-5)


def test_a_paired_interval_holds_as_often_as_it_says() -> None:
    """Of 2,000 samples of 500 images it holds the difference in 95 %, and is half as wide as that of two samples."""
    shares = [0.3, 0.06, 0.03, 0.61]
    tables = np.random.default_rng(0).multinomial(500, shares, 2_000).tolist()
    held, paired, unpaired = 0, 0.0, 0.0
    for both, first, second, _ in tables:
        accuracies = (both + first) / 500, 500, (both + second) / 500, 500
        low, high = difference_interval(*accuracies, both=both)
        held += low <= shares[1] - shares[2] <= high
        paired += high - low
        low, high = difference_interval(*accuracies)
        unpaired += high - low
    assert 0.94 <= held / 2_000 <= 0.97
    assert paired / unpaired == pytest.approx(0.46, abs=0.02)


def test_two_models_that_agree_on_every_image_have_an_interval_all_the_same() -> None:
    """Other images might tell them apart; none, all and half of them right, it holds 0 and has no infinite ends."""
    for right in (0, 20, 40):
        low, high = difference_interval(right / 40, 40, right / 40, 40, both=right)
        assert -0.1 < low < 0 < high < 0.1


def test_the_interval_of_a_mean_is_students() -> None:
    """Of 1, 2, 3: mean 2, sd 1, and t(2) is 4.30265 in every table; of 0, 1: t(1) is 12.7062."""
    assert student_interval([1, 2, 3]) == pytest.approx((2 - 2.484138, 2 + 2.484138), abs=1e-5)
    assert student_interval([0, 1]) == pytest.approx((0.5 - 6.3531, 0.5 + 6.3531), abs=1e-4)
    assert student_interval([0.5]) is None
    # Far from the ends of the scale the logits make no difference.
    assert mean_interval([1, 2, 3], (-10_000, 10_000)) == pytest.approx((2 - 2.484138, 2 + 2.484138), abs=1e-3)


def test_the_paired_test_is_students() -> None:
    """Differences 1, 2, 3 give t = 2√3 with 2 degrees of freedom, whose two-sided p is 1 − t/√(2 + t²)."""
    t = 2 * 3**0.5
    assert paired_p([1, 2, 3]) == pytest.approx(1 - t / (2 + t * t) ** 0.5)
    assert paired_p([-1, -2, -3]) == paired_p([1, 2, 3])
    assert paired_p([-1, 1]) == pytest.approx(1)


def test_one_seed_says_nothing_of_seeds() -> None:
    """Fewer than two values have no interval and no p, and neither has a test of differences that are all the same."""
    assert mean_interval([0.5], (0, 1)) is None
    assert paired_p([0.5]) is None
    assert paired_p([]) is None
    assert paired_p([0.25, 0.25, 0.25]) is None
    assert paired_p([0.6 - 0.5, 0.52 - 0.42]) is None  # 5.6e-17 apart in floating point


def test_an_interval_never_leaves_the_scale() -> None:
    """Two accuracies at 30 and 85 per cent tell nothing of the mean: 0 to 100, where Student's own is −292 to 407."""
    low, high = mean_interval([0.30, 0.85], (0, 1), 100) or (0, 0)
    assert 0 <= low < 0.001
    assert 0.999 < high <= 1
    for values, scale in (([0.0, 0.02, 0.04], (0, 1)), ([1.0, 0.98], (0, 1)), ([-1.0, 1.0], (-1, 1))):
        low, high = mean_interval(values, scale, 50) or (9, 9)
        assert scale[0] <= low <= statistics.fmean(values) <= high <= scale[1]


def test_an_interval_of_the_logits_by_hand() -> None:
    """Odds of 1/3, 1 and 3 have logits ∓log 3 and 0: their interval is tanh's of half of 2.484 · log 3."""
    low, high = mean_interval([0.25, 0.5, 0.75], (0, 1), 10**9) or (0, 0)
    half = math.tanh(2.484138 * math.log(3) / 2) / 2
    assert (low, high) == pytest.approx((0.5 - half, 0.5 + half), abs=1e-6)


def test_an_interval_covers_as_often_as_it_says() -> None:
    """Three seeds' accuracies on 1,000 images around 3 per cent: 95 of 100 intervals hold it, none leaves the scale."""
    random = np.random.default_rng(0)
    seeds = random.binomial(1_000, random.beta(0.03 * 200, 0.97 * 200, (2_000, 3))) / 1_000
    found = [mean_interval(values, (0, 1), 1_000) for values in seeds.tolist()]
    covered = [low <= 0.03 <= high for low, high in filter(None, found)]
    assert 0.94 < statistics.fmean(covered) < 0.965
    assert all(low >= 0 for low, _ in filter(None, found))


def test_equal_values_have_no_spread_to_speak_of() -> None:
    """Ten seeds at exactly 0 or 1, or at the same difference: there is a mean, and no interval."""
    assert mean_interval([0.0] * 10, (0, 1), 50) is None
    assert mean_interval([1.0] * 7, (0, 1), 50) is None
    assert mean_interval([0.6 - 0.5, 0.52 - 0.42], (-1, 1)) is None  # 5.6e-17 apart in floating point


def test_holms_adjustment() -> None:
    """By hand: 0.01 of four counts fourfold, 0.02 thrice, 0.04 twice, 0.5 once; none falls below one before it."""
    assert holm([0.04, 0.01, 0.5, 0.02]) == pytest.approx([0.08, 0.04, 0.5, 0.06])
    assert holm([0.02, 0.02]) == pytest.approx([0.04, 0.04])
    assert holm([0.6, 0.9]) == [1, 1]
    assert holm([0.03, 0.035]) == pytest.approx([0.06, 0.06])
    assert holm([]) == []


@pytest.mark.parametrize("others", [1, 4, 19])
def test_the_largest_of_many_differences_is_no_finding(others: int) -> None:
    """Of networks that are right on half of all images alike, against the first: 5 of 100 reports have any interval
    without 0 at most. Of 20 that stand for themselves one is found in three of ten reports.
    """
    n, reports = 1_000, 1_000
    seen = np.random.default_rng(0).binomial(n, 0.5, (reports, 1 + others)) / n

    def found(together: int) -> float:
        intervals = [
            [difference_interval(accuracy, n, baseline, n, together=together) for accuracy in accuracies]
            for baseline, *accuracies in seen.tolist()
        ]
        return statistics.fmean(any(low > 0 or high < 0 for low, high in each) for each in intervals)

    assert found(others) < 0.065
    if others > 10:
        assert found(1) > 0.25


def test_intervals_of_one_are_newcombes_own() -> None:
    assert difference_interval(0.8, 70, 0.6, 80, together=1) == difference_interval(0.8, 70, 0.6, 80)

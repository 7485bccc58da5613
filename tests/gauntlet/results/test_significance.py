from fractions import Fraction
from math import comb

import pytest

from gauntlet.results.significance import mcnemar_p, upper_tail


@pytest.mark.parametrize("trials", [1, 7, 40])
@pytest.mark.parametrize("probability", [Fraction(1, 100), Fraction(1, 2), Fraction(9, 10)], ids=str)
def test_the_tail_is_the_sum_of_its_terms(trials: int, probability: Fraction) -> None:
    """Every tail equals the exact rational sum."""
    for successes in range(trials + 1):
        exact = sum(
            comb(trials, hits) * probability**hits * (1 - probability) ** (trials - hits)
            for hits in range(successes, trials + 1)
        )
        assert upper_tail(successes, trials, float(probability)) == pytest.approx(float(exact), rel=1e-9)


def test_the_largest_samples_do_not_overflow() -> None:
    """10,000 images give a finite tail, one half at the middle."""
    assert upper_tail(5_000, 10_000, 0.5) == pytest.approx(0.504, abs=1e-3)
    assert 0 <= upper_tail(10_000, 10_000, 0.01) < 1e-300


def test_no_tail_is_above_one() -> None:
    """The terms of this one, rounded, add up to 1 + 2⁻⁵²."""
    assert upper_tail(1, 10, 0.99) == 1


def test_paired_differences_are_coins() -> None:
    """Seven to none is 1/128, an even split is no evidence, and no difference at all gives 1."""
    assert mcnemar_p(7, 0) == pytest.approx(1 / 128)
    assert mcnemar_p(5, 5) > 0.5
    assert mcnemar_p(0, 0) == mcnemar_p(0, 9) == 1

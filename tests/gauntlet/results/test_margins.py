"""What natural images' margins say together, worked out by hand."""

import math
from fractions import Fraction

import pytest

from gauntlet.results.accuracy import Accuracy
from gauntlet.results.margins import ImageMargin, Quartiles, margin_outcome, rounded
from gauntlet.spec.evaluations.attacks import AnyAttack, FgsmAttack, PgdAttack

# The right class's probability, the largest, the margin in logits, and its gradient's norms.
NEAR = ImageMargin(0.5, 0.5, 1.0, 100.0, 4.0)
FAR = ImageMargin(0.9, 0.9, 3.0, 50.0, 2.0)
FLAT = ImageMargin(1.0, 1.0, 20.0, 0.0, 0.0)
WRONG = ImageMargin(0.05, 0.7, -2.0, 80.0, 3.0)
BROKEN = ImageMargin(0.6, 0.6, 1.0, None, None)


def test_a_distance_is_the_margin_over_the_dual_norm() -> None:
    """L1 of the gradient for Linf, L2 for L2; none where the image is wrong, unknown without a finite gradient."""
    assert (NEAR.distance("Linf"), NEAR.distance("L2")) == (0.01, 0.25)
    assert (FAR.distance("Linf"), FAR.distance("L2")) == (0.06, 1.5)
    assert FLAT.distance("Linf") == math.inf
    assert WRONG.distance("L2") == 0
    assert BROKEN.distance("Linf") is None


def test_means_are_of_all_images_and_quartiles_of_the_right_ones() -> None:
    found = margin_outcome([NEAR, FAR, FLAT, WRONG], 10, [])
    assert found.confidence == pytest.approx((0.5 + 0.9 + 1 + 0.7) / 4)
    assert found.right_probability == pytest.approx((0.5 + 0.9 + 1 + 0.05) / 4)
    assert found.margins == Quartiles(lower=1, median=3, upper=20)
    assert found.slopes == Quartiles(lower=0, median=50, upper=100)
    assert found.distances == Quartiles(lower=0.01, median=0.06, upper=None)


@pytest.mark.parametrize(("classes", "given_up"), [(10, 1), (30, 0), (2, 1)])
def test_an_image_is_given_up_below_one_in_as_many_as_there_are_classes(classes: int, given_up: int) -> None:
    found = margin_outcome([NEAR, FAR, FLAT, WRONG], classes, [])
    assert found.given_up == Accuracy.of(given_up, 4)


@pytest.mark.parametrize("classes", [3, 6, 7, 9, 10, 11, 13, 43])
def test_whoever_answers_with_all_classes_alike_gives_nothing_up(classes: int) -> None:
    """Kept in four digits, a third is less than a third."""
    alike = ImageMargin(rounded(1 / classes), rounded(1 / classes), 0.0, 0.0, 0.0)
    assert margin_outcome([alike], classes, []).given_up.value == 0


def test_a_straight_line_promises_what_lies_beyond_each_budget() -> None:
    """A wrong image never does, one without a gradient always, and one whose gradient is unknown is not counted."""
    budgets: list[AnyAttack] = [
        FgsmAttack(eps=Fraction(8, 255)),
        PgdAttack(eps=Fraction(8, 255)),
        FgsmAttack(eps=Fraction(1, 255)),
        FgsmAttack(eps=Fraction(1), norm="L2"),
    ]
    found = margin_outcome([NEAR, FAR, FLAT, WRONG, BROKEN], 10, budgets)
    assert [(line.norm, line.eps, line.accuracy.value) for line in found.straight] == [
        ("Linf", Fraction(8, 255), 0.4),
        ("Linf", Fraction(1, 255), 0.6),
        ("L2", Fraction(1), 0.4),
    ]
    assert found.distances == Quartiles(lower=0.01, median=0.06, upper=None)


def test_of_a_model_that_is_never_right_there_are_no_quartiles() -> None:
    found = margin_outcome([WRONG], 10, [FgsmAttack(eps=Fraction(1, 255))])
    assert (found.margins, found.slopes, found.distances) == (None, None, None)
    assert found.straight[0].accuracy.value == 0


def test_a_tie_is_no_right_answer() -> None:
    """A margin of zero is at the boundary, whatever its gradient, and not among the right ones."""
    tied = ImageMargin(0.5, 0.5, 0.0, 0.0, 0.0)
    assert (tied.distance("Linf"), tied.distance("L2")) == (0, 0)
    found = margin_outcome([tied], 2, [FgsmAttack(eps=Fraction(0))])
    assert found.margins is None
    assert found.straight[0].accuracy.value == 0


def test_what_lies_just_at_a_budget_is_not_beyond_it() -> None:
    """There the margin is zero."""
    edge = ImageMargin(0.9, 0.9, 1.0, 4.0, 1.0)
    found = margin_outcome([edge], 2, [FgsmAttack(eps=Fraction(1, 4)), FgsmAttack(eps=Fraction(249, 1000))])
    assert [line.accuracy.value for line in found.straight] == [0, 1]


def test_quartiles_are_values_of_their_own() -> None:
    """Of 1 to 100 the 25th, the 50th and the 75th."""
    assert Quartiles.of(map(float, range(100, 0, -1))) == Quartiles(lower=25, median=50, upper=75)
    assert Quartiles.of([]) is None


def test_four_digits_are_kept() -> None:
    assert [rounded(value) for value in (0.123456, 98765.4, -1.00049)] == [0.1235, 98770, -1.0]

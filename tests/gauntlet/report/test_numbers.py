"""Numbers and names as readers are shown them."""

import pytest

from gauntlet.report.numbers import counted, listed, p_value, per_cent, points, selection_title, signed


def test_fractions_are_shown_in_per_cent() -> None:
    """To one digit, with an interval where there is one; what was not measured is a dash."""
    assert per_cent(0.2014) == "20.1"
    assert per_cent(0.2014, (0.177, 0.2271)) == "20.1 (17.7 to 22.7)"
    assert per_cent(1) == "100.0"
    assert per_cent(None) == per_cent(None, (0, 1)) == "–"


def test_differences_are_shown_in_points_with_one_minus_sign() -> None:
    """And with a plus; a zero has no sign, whichever side it was rounded from."""
    assert points(-0.01, (-0.032, 0.012)) == "−1.0 (−3.2 to +1.2)"
    assert points(0.25, (0.15, 0.35)) == "+25.0 (+15.0 to +35.0)"
    assert points(None) == points(None, (0, 1)) == "–"
    assert [signed(value) for value in (0.04, -0.04, 0.0, 0.06, -0.06)] == ["0.0", "0.0", "0.0", "+0.1", "−0.1"]


@pytest.mark.parametrize(
    ("p", "shown"), [(None, "–"), (0.00099, "< 0.001"), (0.001, "0.001"), (0.0456, "0.046"), (1.0, "1.000")]
)
def test_a_p_is_never_a_false_zero(p: float | None, shown: str) -> None:
    """Three digits."""
    assert p_value(p) == shown


def test_things_are_counted_and_listed() -> None:
    """One epoch and a thousand; a single name stands by itself."""
    assert [counted(count, "epoch") for count in (0, 1, 2, 1_000)] == [
        "0 epochs",
        "1 epoch",
        "2 epochs",
        "1,000 epochs",
    ]
    assert [listed(["FGSM", "PGD", "Square"][:count]) for count in (1, 2, 3)] == [
        "FGSM",
        "FGSM and PGD",
        "FGSM, PGD and Square",
    ]


@pytest.mark.parametrize(
    ("selection", "title"),
    [
        ("last", "last"),
        ("best_fgsm", "best FGSM"),
        ("average_last", "last, averaged"),
        ("average_best_fgsm", "best FGSM, averaged"),
    ],
)
def test_a_selection_has_a_title(selection: str, title: str) -> None:
    """Of averaged weights it is said that they are."""
    assert selection_title(selection) == title

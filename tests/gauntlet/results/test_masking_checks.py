"""Each check on either side of the threshold that docs/evaluation.md gives it: 1 % significance, points, budgets."""

from collections.abc import Callable
from fractions import Fraction

import pytest

from gauntlet.results.masking_checks import (
    Broken,
    Check,
    Sample,
    black_box,
    margin,
    noise,
    one_step,
    overstated,
    transfer,
    unbounded,
    zero_gradient,
)

BEYOND = [black_box, noise, transfer]


def images(*spans: tuple[int, int]) -> frozenset[int]:
    return frozenset(image for first, end in spans for image in range(first, end))


def whole(n: int) -> Sample:
    """All of n images are right as they are."""
    return Sample(n, n)


def apart(shared: int, one: int, other: int) -> tuple[frozenset[int], frozenset[int]]:
    """What two attacks break: so many that both do, and so many that either does alone."""
    return images((0, shared + one)), images((0, shared), (shared + one, shared + one + other))


@pytest.mark.parametrize("check", BEYOND)
@pytest.mark.parametrize(("n", "most"), [(200, 6), (1_000, 18), (300, 8), (680, 13), (750, 14)])
def test_beyond_the_gradient_is_a_binomial_tail_at_one_per_cent(
    check: Callable[[Sample, Broken, Broken], Check], n: int, most: int
) -> None:
    """Just so many may be broken by it alone at a rate of 1 %; the next has p below 1 %, in 680 images by 0.00016."""
    told = [check(whole(n), images((0, alone)), images((n // 2, n))) for alone in (most, most + 1)]
    assert [each.result for each in told] == ["pass", "suspect"]
    assert told[0].evidence["p"] >= 0.01 > told[1].evidence["p"]
    assert told[1].evidence["broken_alone"] == most + 1
    assert told[1].evidence["accuracy"] == pytest.approx(1 - (most + 1) / n)
    assert told[1].evidence["white_box_accuracy"] == 0.5


# Discordant pairs whose exact one-sided p is next to 1 %: 0.01064 and 0.00961, 0.01003 and 0.00992.
NOT_YET, SIGNIFICANT = [(13, 3), (23, 9)], [(15, 4), (36, 18)]


@pytest.mark.parametrize("pairs", NOT_YET + SIGNIFICANT)
def test_one_step_is_significant_below_one_per_cent(pairs: tuple[int, int]) -> None:
    """Where two points of the sample are more than the difference."""
    found = one_step(whole(2_000), *apart(100, *pairs), frozenset())
    assert found.result == ("suspect" if pairs in SIGNIFICANT else "pass")


@pytest.mark.parametrize("pairs", NOT_YET + SIGNIFICANT)
def test_the_margin_is_significant_below_one_per_cent(pairs: tuple[int, int]) -> None:
    """Where five points of the sample are less than the difference."""
    stronger, weaker = apart(100, *pairs)
    assert margin(whole(160), weaker, stronger).result == ("suspect" if pairs in SIGNIFICANT else "pass")


@pytest.mark.parametrize(
    ("n", "more", "result"), [(50, 1, "pass"), (50, 2, "suspect"), (150, 2, "pass"), (150, 3, "suspect")]
)
def test_one_step_is_two_points_and_two_images_ahead(n: int, more: int, result: str) -> None:
    """One image of fifty is two points, and chance; of 150 images two points are three."""
    assert one_step(whole(n), *apart(20, more, 0), frozenset()).result == result


def test_the_margins_five_points_are_net() -> None:
    """60 images of 1,000 are broken on the margin alone and 20 on cross-entropy alone: four points, not eight."""
    stronger, weaker = apart(100, 60, 20)
    net = margin(whole(1_000), weaker, stronger)
    assert net.result == "pass"
    assert net.evidence["p"] < 0.01
    assert margin(whole(800), weaker, stronger).result == "suspect"


GROWING = {Fraction(level, 255): (images((0, level)), images((0, level))) for level in (8, 16, 32)}


@pytest.mark.parametrize(
    ("largest", "result"),
    [(Fraction(64, 255), "suspect"), (Fraction(64, 256), "not_measured"), (Fraction(63, 255), "not_measured")],
)
def test_a_quarter_of_the_range_is_64_of_255_levels(largest: Fraction, result: str) -> None:
    """From that on 94 % that withstand PGD are too many; of less nothing follows."""
    everything = GROWING | {largest: (images((0, 60)), images((0, 60)))}
    assert unbounded(whole(1_000), "Linf", everything).result == result
    assert unbounded(whole(1_000), "L2", everything).result == "not_measured"


@pytest.mark.parametrize(("left", "result"), [(50, "pass"), (51, "suspect")])
def test_five_per_cent_may_withstand_the_largest_budget(left: int, result: str) -> None:
    """Of 1,000 images 50."""
    lost = images((0, 1_000 - left))
    found = unbounded(whole(1_000), "Linf", GROWING | {Fraction(1): (lost, lost)})
    assert found.result == result
    assert found.evidence["cross_entropy_accuracy"] == pytest.approx(left / 1_000)


def test_what_either_loss_breaks_is_broken_at_each_budget() -> None:
    """Accuracy under PGD is that of the two together, and cross-entropy's own is judged beside it."""
    half, other = images((0, 500)), images((500, 1_000))
    found = unbounded(whole(1_000), "Linf", GROWING | {Fraction(128, 255): (half, other)})
    assert found.evidence["pgd_accuracy@128/255"] == 0
    assert found.evidence["pgd_accuracy@8/255"] == pytest.approx(0.992)
    assert found.evidence["largest_eps"] == pytest.approx(128 / 255)
    assert (found.result, found.evidence["cross_entropy_accuracy"]) == ("suspect", 0.5)
    assert "50.0 % withstand PGD on cross-entropy" in found.sentence
    assert "0.0 % on the margin" in found.sentence


@pytest.mark.parametrize(("regained", "result"), [(9, "suspect"), (8, "pass")])
def test_a_rise_is_held_against_the_number_of_steps(regained: int, result: str) -> None:
    """Over three steps nine images regained have p = 3 · 2⁻⁹ = 0.0059, and eight 0.0117; without a rise p is 1."""
    growing = GROWING | {Fraction(1): (images((0, 1_000)),) * 2}
    assert unbounded(whole(1_000), "Linf", growing).evidence["p_rise"] == 1
    risen = growing | {Fraction(16, 255): (images((0, 8)),) * 2, Fraction(8, 255): (images((0, 8 + regained)),) * 2}
    found = unbounded(whole(1_000), "Linf", risen)
    assert found.evidence["p_rise"] == pytest.approx(3 * 2.0**-regained)
    assert found.result == result


@pytest.mark.parametrize(("zero", "result"), [(10, "pass"), (11, "suspect")])
def test_gradients_may_vanish_at_one_image_in_a_hundred(zero: int, result: str) -> None:
    """Of 1,000 images at ten."""
    assert zero_gradient(1_000, zero).result == result


@pytest.mark.parametrize(
    ("missed", "found", "result"), [(500, 500, "pass"), (501, 499, "suspect"), (119, 9, "pass"), (120, 9, "suspect")]
)
def test_fgsm_flatters_from_twelve_points_and_above_half(missed: int, found: int, result: str) -> None:
    """Of 1,000 images 120, and more than one of two that can be broken."""
    told = overstated(whole(1_000), images((0, found)), images((found, found + missed)))
    assert told.result == result


def test_where_nothing_can_be_broken_fgsm_misses_nothing() -> None:
    """No share is taken of no image."""
    told = overstated(whole(10), frozenset(), frozenset())
    assert (told.result, told.evidence["share_missed"]) == ("pass", 0)


SOME = images((0, 3))


@pytest.mark.parametrize("absent", range(3))
def test_a_check_of_an_attack_that_was_not_run_is_not_measured(absent: int) -> None:
    """Whichever of its attacks it is, and it has no evidence then."""
    ran: list[Broken] = [None if number == absent else SOME for number in range(3)]
    checks = [one_step(whole(9), *ran)]
    if absent < 2:
        checks += [check(whole(9), *ran[:2]) for check in (margin, black_box, noise, transfer, overstated)]
        # At two of three budgets one loss of the two was not run.
        growing = {Fraction(eps): (ran[0], ran[1]) if eps else (SOME, SOME) for eps in range(3)}
        checks.append(unbounded(whole(9), "Linf", growing))
    assert {(check.result, len(check.evidence)) for check in checks} == {("not_measured", 0)}


def both_ways() -> list[tuple[Check, Check]]:
    sample, few, many = whole(200), images((0, 5)), images((0, 60))
    lost, kept = (many, images((0, 200))), (many, few)
    sound = {Fraction(1, 4): (few, few), Fraction(1): (lost[1], lost[1])}
    pairs = [
        (one_step(sample, few, many, many), one_step(sample, many, few, few)),
        (margin(sample, many, many), margin(sample, few, many)),
        (unbounded(sample, "Linf", sound), unbounded(sample, "Linf", {Fraction(1, 4): kept, Fraction(1): kept})),
        (zero_gradient(200, 0), zero_gradient(200, 200)),
        (overstated(sample, many, few), overstated(sample, few, many)),
    ]
    return pairs + [(check(sample, few, many), check(sample, many, few)) for check in BEYOND]


ACCUSES = {
    "one_step": "one step finds what many steps miss",
    "margin": "misleads the attack",
    "unbounded": "withstand PGD at the largest budget",
    "zero_gradient": "attacks that follow it stand still there",
    "overstated": "it flatters this model",
    "black_box": "the gradient hides ways",
    "noise": "the gradient hides ways",
    "transfer": "the gradient hides ways",
}


def test_a_sentence_accuses_just_where_its_result_does() -> None:
    """Readers are shown the sentence: one of the other result would mislead them."""
    for sound, masked in both_ways():
        assert (sound.result, masked.result) == ("pass", "suspect")
        accusation = ACCUSES[masked.name]
        assert accusation in masked.sentence
        assert accusation not in sound.sentence

"""What the claim's networks do differently, on made-up checkpoints of two seeds."""

import pytest

from benchmarks.claim.cause import Looked, compare, markdown
from gauntlet.results.margins import ImageMargin, margin_outcome
from gauntlet.spec.evaluations.attacks import FgsmAttack

_SURE = ImageMargin(0.9, 0.9, 3.0, 255.0, 4.0)
_LOST = ImageMargin(0.05, 0.6, -1.0, 51.0, 2.0)


def _looked(objective: str, seed: int, right: set[int], withstood: set[int]) -> Looked:
    margins = [_SURE if at in right else _LOST for at in range(4)]
    return Looked(
        objective=objective,
        seed=seed,
        epoch=9,
        selections=("best_fgsm", "last"),
        natural=len(right) / 4,
        robust=len(withstood) / 4,
        margins=margin_outcome(margins, 10, [FgsmAttack(eps="8/255")]),
        right=frozenset(right),
        withstood=frozenset(withstood),
    )


_ALL = [
    _looked("policy_gradient", 0, {0, 1}, {0, 1}),
    _looked("policy_gradient", 1, {0, 1}, {0}),
    _looked("cross_entropy", 0, {0, 1, 2}, {0}),
    _looked("cross_entropy", 1, {0, 1, 3}, {2}),
]


def test_figures_are_compared_by_seed() -> None:
    """Half against a quarter of four images given up; distances of 3 levels, none beyond eight."""
    differences, _, _ = compare(_ALL)
    found = {one.figure: one for one in differences if one.selection == "last"}
    assert found["given up"].by_seed == {0: 25, 1: 25}
    assert (found["given up"].reward, found["given up"].baseline) == (50, 25)
    assert found["AutoAttack"].by_seed == {0: 25, 1: 0}
    assert found["median distance, 255ths"].reward == pytest.approx(3)
    assert found["beyond 8/255 on a straight line"].baseline == 0


def test_an_images_difficulty_is_told_by_the_other_seeds_cross_entropy() -> None:
    """For seed 0 the image 2 is hard, for seed 1 the image 3; the reward withstands two and one of the easy three."""
    _, difficulties, _ = compare(_ALL)
    easy, hard = (one for one in difficulties if one.selection == "last")
    assert (easy.wrong, easy.of, easy.n, hard.n) == (0, 1, 3, 1)
    assert easy.robust == pytest.approx({"policy_gradient": (2 / 3 + 1 / 3) / 2, "cross_entropy": (1 / 3 + 1 / 3) / 2})
    assert hard.natural == {"policy_gradient": 0, "cross_entropy": 1}


def test_what_both_withstand_and_what_one_alone_does() -> None:
    """Seed 0 shares the first image, and the reward has one more; seed 1 shares none, and each has one."""
    _, _, shared = compare(_ALL)
    assert (shared[0].both, shared[0].reward_alone, shared[0].baseline_alone) == (0.125, 0.25, 0.125)
    text = markdown(_ALL, *compare(_ALL))
    assert "| last | 12.5 | 25.0 | 12.5 |" in text

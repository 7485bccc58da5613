"""The result in words."""

from typing import Any

import pytest

from gauntlet.report.numbers import per_cent, points
from gauntlet.report.report import Report
from gauntlet.report.result import doubts_in_words, in_words
from gauntlet.results.doubts import Doubt
from gauntlet.results.intervals import mean_interval
from tests.reports import made_up

ONE_SEED: dict[str, Any] = {"seeds": [0]}


def with_accuracies(report: Report, robust: dict[str, list[float]], **given: Any) -> Report:
    """The report with these accuracies under attack, seed by seed."""
    rows = [
        row.model_copy(update={"accuracies": row.accuracies | {report.headline: robust[row.objective][place % 10]}})
        for place, row in ((row.seed, row) for row in report.rows)
    ]
    spec = {"seeds": list(report.spec.seeds), "objectives": [each.model_dump() for each in report.spec.objectives]}
    return made_up(spec, rows=rows, **given)


def test_who_is_more_robust_by_how_much_and_how_sure() -> None:
    """Three seeds that differ by 8, 10 and 12 points: t = 10 / (2 / √3), so p = 0.013."""
    found = with_accuracies(made_up(), {"cross_entropy": [0.2, 0.2, 0.2], "policy_gradient": [0.28, 0.3, 0.32]})
    start = "Under the worst of FGSM and AutoAttack at ε = 8/255 (L∞), on 500 test images, policy gradient is "
    assert found.result.startswith(start)
    assert "more robust than cross-entropy: it keeps 30.0 % right against 20.0 %" in found.result
    assert "+10.0 points over 3 seeds, 95 % interval +5.0 to +14.9, p = 0.013." in found.result


def test_a_difference_that_may_be_chance_is_none() -> None:
    """The same mean of seeds that lie far apart shows nothing, and neither does its sign."""
    found = with_accuracies(made_up(), {"cross_entropy": [0.2, 0.2, 0.2], "policy_gradient": [0.2, 0.25, 0.45]})
    assert "policy gradient is not shown to differ in robustness from cross-entropy" in found.result
    assert "p = 0.321" in found.result


@pytest.mark.parametrize(
    ("robust", "verdict"),
    [
        (0.1, "was right on fewer images than"),
        (0.2, "was right on as many images as"),
        (0.5, "was right on more images"),
    ],
)
def test_seeds_that_all_differ_by_the_same_are_no_proof_of_anything(robust: float, verdict: str) -> None:
    """Not even that they do not differ: what was found is said, and that there is no test of it."""
    found = with_accuracies(made_up(), {"cross_entropy": [0.2] * 3, "policy_gradient": [robust] * 3})
    assert f"policy gradient {verdict}" in found.result
    assert "on every one of 3 seeds: without a spread there is no test." in found.result
    assert "not shown to differ" not in found.result


@pytest.mark.parametrize(
    ("robust", "verdict"),
    [(0.3, "is more robust than"), (0.1, "is less robust than"), (0.21, "is not shown to differ in robustness from")],
)
def test_one_seed_is_judged_by_the_test_images_alone(robust: float, verdict: str) -> None:
    """10 points on 500 images are more than chance among images, 1 is not; of training again nothing is said."""
    found = with_accuracies(made_up(ONE_SEED), {"cross_entropy": [0.2], "policy_gradient": [robust]})
    assert f"policy gradient {verdict} cross-entropy" in found.result
    assert "as far as the test images go; one seed each does not say what training again would change." in found.result


@pytest.mark.parametrize(
    ("kinds", "verdict"),
    [
        (("policy_gradient",), "is more robust than"),
        (
            ("policy_gradient", "ppo", "a2c", "dqn", "expected_reward"),
            "is not shown to differ in robustness from",
        ),
    ],
)
def test_the_best_of_many_takes_a_larger_difference(kinds: tuple[str, ...], verdict: str) -> None:
    """5.6 points on 500 images are more than chance of one objective, and not of the best of five."""
    report = made_up(ONE_SEED | {"objectives": [{"kind": kind} for kind in ("cross_entropy", *kinds)]})
    others = {kind: [0.2] for kind in kinds}
    found = with_accuracies(report, {"cross_entropy": [0.2]} | others | {"policy_gradient": [0.256]})
    assert verdict in found.result
    assert ("(with 95 % for all 5 comparisons of one seed together)" in found.result) == (len(kinds) > 1)


def test_the_most_robust_of_several_is_told() -> None:
    """Of three others the best one is held against the first, also where it is behind it."""
    kinds = ("cross_entropy", "policy_gradient", "expected_reward", "ppo")
    report = made_up(ONE_SEED | {"objectives": [{"kind": kind} for kind in kinds]})
    found = with_accuracies(report, dict(zip(kinds, [[0.5], [0.1], [0.3], [0.2]], strict=True)))
    told = "expected reward, the most robust of the 3 other objectives, is less robust than cross-entropy"
    assert told in found.result


def test_what_cannot_be_compared_is_not_counted() -> None:
    """An objective without a seed of the first's may be the most robust of all, and nobody knows."""
    kinds = ("cross_entropy", "policy_gradient", "expected_reward", "ppo")
    changes = {"seeds": [0, 1], "objectives": [{"kind": kind} for kind in kinds]}
    rows = [row for row in made_up(changes).rows if row.seed == int(row.objective == "ppo")]
    told = made_up(changes, rows=rows).result
    assert ", the most robust of the 2 other objectives on the same seeds, " in told
    fewer = [row for row in rows if row.objective != "expected_reward"]
    assert "the most robust of" not in made_up(changes, rows=fewer).result


def test_one_image_is_no_images() -> None:
    row = made_up(ONE_SEED).rows[0]
    for n, told in ((1, "on 1 test image, "), (1_000, "on 1,000 test images, ")):
        assert told in made_up(ONE_SEED, rows=[row.model_copy(update={"n": n})]).result


def test_a_single_objective_is_told_by_itself() -> None:
    """Without another there is no comparison; several seeds have an interval, one has none."""
    one = with_accuracies(made_up(ONE_SEED | {"objectives": [{"kind": "ppo"}]}), {"ppo": [0.2]})
    assert "PPO keeps 20.0 % right. One seed does not say what training again would change." in one.result
    several = made_up({"objectives": [{"kind": "ppo"}]})
    low, high = mean_interval(values := [0.1, 0.2, 0.3], (0, 1), 500) or (0, 0)
    told = f"the mean over 3 seeds, 95 % interval {per_cent(low)} to {per_cent(high)}."
    assert f"PPO keeps 20.0 % right: {told}" in with_accuracies(several, {"ppo": values}).result
    same = with_accuracies(several, {"ppo": [0.2] * 3})
    assert "PPO keeps 20.0 % right: the mean over 3 seeds, every seed the same." in same.result


@pytest.mark.parametrize(
    ("ours", "theirs", "told"),
    [(0.3, 0.2, "policy gradient keeps 30.0 % right"), (0.2, 0.3, "cross-entropy keeps 30.0 % right")],
)
def test_without_a_shared_seed_the_most_robust_is_told_by_itself(ours: float, theirs: float, told: str) -> None:
    """Of how many it is the most robust is said, and nothing of a difference."""
    whole = made_up({"seeds": [0, 1]})
    apart = whole.model_copy(
        update={"rows": tuple(row for row in whole.rows if row.seed == int(row.objective == "policy_gradient"))}
    )
    found = with_accuracies(apart, {"cross_entropy": [theirs] * 2, "policy_gradient": [ours] * 2}).result
    assert f", {told}, the most of 2 objectives. One seed does not say" in found


def test_a_p_that_is_very_small_is_told_as_such() -> None:
    """Three seeds that differ by 9.9, 10.0 and 10.1 points: t = 10 / (0.1 / √3)."""
    found = with_accuracies(made_up(), {"cross_entropy": [0.2] * 3, "policy_gradient": [0.299, 0.3, 0.301]})
    assert "+10.0 points over 3 seeds" in found.result
    assert ", p < 0.001." in found.result


def test_what_is_suspect_stands_in_the_result() -> None:
    """Whose numbers are in doubt, and for what."""
    doubt = Doubt(kind="masked_gradients", severity="warning", sentence="Its gradients may be masked. One sign.")
    rows = [
        row.model_copy(update={"doubts": (doubt,)}) if row.objective == "policy_gradient" else row
        for row in made_up().rows
    ]
    report = made_up(rows=rows)
    assert report.result.endswith("In doubt: policy gradient (masked gradients).")
    assert report.warnings == ("policy gradient, seeds 0, 1, 2, epoch 12: Its gradients may be masked. One sign.",)


def test_three_in_doubt_are_named_and_the_others_counted() -> None:
    """Each with all that speaks against it."""
    kinds = ("cross_entropy", "policy_gradient", "expected_reward", "ppo")
    said = [Doubt(kind=kind, severity="warning", sentence=kind) for kind in ("masked_gradients", "overconfident")]
    doubtful = [
        row.model_copy(update={"doubts": tuple(said[: 1 + (row.objective == "cross_entropy")])})
        for row in made_up(ONE_SEED | {"objectives": [{"kind": kind} for kind in kinds]}).rows
    ]
    told = made_up(ONE_SEED | {"objectives": [{"kind": kind} for kind in kinds]}, rows=doubtful).result
    assert told.endswith(
        "In doubt: cross-entropy (masked gradients, overconfident), policy gradient (masked gradients), "
        "expected reward (masked gradients) and 1 more."
    )


def test_a_result_that_may_change_says_so() -> None:
    """Before anything is measured there is none."""
    assert made_up(rows=(), complete=False, status="running").result == (
        "Nothing has been measured. The experiment is running: this may change."
    )
    assert made_up(complete=False, status="running").result.endswith("The experiment is running: this may change.")


def test_what_it_was_measured_on_is_said_where_it_differs() -> None:
    """Images of unlike number, each number once, and at which checkpoints where there are several."""
    rows = made_up(ONE_SEED).rows
    unlike = [row.model_copy(update={"n": n}) for row, n in zip(rows, (400, 1_000), strict=True)]
    assert "at ε = 8/255 (L∞), on 400 to 1,000 test images, policy gradient" in made_up(ONE_SEED, rows=unlike).result
    two = made_up(ONE_SEED | {"evaluation": {"select": ["best_fgsm", "last"]}}).result
    assert two.startswith(
        "Under the worst of FGSM and AutoAttack at ε = 8/255 (L∞), on 500 test images, at their best FGSM checkpoints, "
    )


def test_accuracies_without_an_attack_stand_beside() -> None:
    report = made_up()
    natural = {one.objective: per_cent(one.natural_accuracy.mean) for one in report.summaries}
    assert f"({natural['policy_gradient']} % and {natural['cross_entropy']} % without an attack)." in report.result


def test_two_seeds_that_differ_by_the_same_are_no_test_either() -> None:
    both = with_accuracies(made_up({"seeds": [0, 1]}), {"cross_entropy": [0.2] * 2, "policy_gradient": [0.5] * 2})
    assert "+30.0 points on every one of 2 seeds: without a spread there is no test." in both.result


def test_the_images_interval_is_told_and_for_how_many_it_holds() -> None:
    """For two together of two, for itself of one; of one that an earlier version made nothing is said."""
    rewards = [{"kind": "policy_gradient", "entropy_bonus": bonus} for bonus in (0, 0.1)]
    two = made_up(ONE_SEED | {"objectives": [{"kind": "cross_entropy"}, *rewards]})
    assert " as far as the test images go (with 95 % for all 2 comparisons of one seed together);" in two.result
    one = made_up(ONE_SEED)
    (compared,) = (each for each in one.comparisons if each.metric == one.headline)
    low, high = (points(end) for end in compared.image_interval or ())
    sure = f"points, {low} to {high} as far as the test images go; one seed each"
    assert sure in one.result
    earlier = compared.model_copy(update={"image_interval_of": None})
    assert sure in in_words(one.headline_column(), one.rows, [earlier], None)


def test_of_several_p_it_is_said_that_they_are_adjusted() -> None:
    """Holm's for both objectives: twice the smaller one."""
    kinds = ("cross_entropy", "policy_gradient", "ppo")
    report = made_up({"objectives": [{"kind": kind} for kind in kinds]})
    robust = {"cross_entropy": [0.2] * 3, "policy_gradient": [0.28, 0.3, 0.32], "ppo": [0.2, 0.25, 0.15]}
    assert "95 % interval +5.0 to +14.9, p = 0.026 (adjusted by Holm)." in with_accuracies(report, robust).result


def test_a_doubt_is_told_once_of_all_that_share_it() -> None:
    """One seed is no seeds; epochs and objectives stand beside each other."""
    doubt = Doubt(kind="masked_gradients", severity="warning", sentence="Its gradients may be masked.")
    rows = [row.model_copy(update={"doubts": (doubt,), "epoch": 8 + row.seed // 2 * 4}) for row in made_up().rows]
    doubtful = [row for row in rows if row.objective == "policy_gradient" or row.seed == 2]
    (told,) = doubts_in_words(doubtful)
    assert told == (
        "cross-entropy, seed 2, epoch 12; policy gradient, seeds 0, 1, epoch 8; policy gradient, seed 2, epoch 12: "
        "Its gradients may be masked."
    )

"""What a report holds and derives. How it is shown is in tests/gauntlet/rendering."""

from fractions import Fraction
from typing import Any

import pytest

from gauntlet.checks.description import DatasetDescription
from gauntlet.rendering.wording import comparison_note
from gauntlet.report.columns import attacked_accuracies, attacked_right
from gauntlet.report.report import Report
from gauntlet.report.report_row import ReportRow, report_row
from gauntlet.report.summaries import ACCURACY, GAP_DIFFERENCE, Estimate, metric
from gauntlet.report.sweeps import TrialRun, sweep_result, sweep_warnings
from gauntlet.results.accuracy import Accuracy, RightImages, right_count, right_in_all
from gauntlet.results.finding import Finding
from gauntlet.results.intervals import difference_interval, mean_interval, paired_p, wilson_interval
from gauntlet.results.masking import MaskingVerdict
from gauntlet.results.masking_checks import zero_gradient
from gauntlet.results.outcome import EvaluationOutcome, summarise
from gauntlet.spec.evaluations.attacks import attack_label
from gauntlet.spec.evaluations.evaluation import EvaluationSpec, ExperimentEvaluationSpec
from gauntlet.spec.runs.objective_labels import objective_title
from gauntlet.spec.sweeps import Sweep, Trial
from tests.reports import judged, made_up, measured, metrics

FGSM, AUTO = {"kind": "fgsm", "eps": "8/255"}, {"kind": "autoattack", "eps": "8/255"}
WIDER = {"kind": "fgsm", "eps": "16/255"}
ROUND = {"kind": "fgsm", "eps": "0.5", "norm": "L2"}


def halves(stage: str, right: int) -> list[Any]:
    """Ten images in two batches, of which the first so many are right."""
    robust = [position < right for position in range(10)]
    return [judged(stage, robust[:5]), judged(stage, robust[5:], first=5)]


BATCHES = [
    *halves("natural", 8),
    *halves("fgsm@8/255", 6),
    *halves("fgsm@16/255", 1),
    *halves("fgsm@L2:0.5", 7),
    *halves("autoattack@8/255:apgd-ce", 5),
    judged("autoattack@8/255:apgd-t", [True] * 4 + [False]),
    judged("autoattack@8/255:fab-t", [True] * 4),
    judged("autoattack@8/255:square", [True] * 3 + [False]),
]


def counted(*attacks: dict[str, str]) -> EvaluationOutcome:
    return summarise(EvaluationSpec.model_validate({"attacks": attacks}), BATCHES, measured())


def row(*attacks: dict[str, str], **changes: Any) -> ReportRow:
    given: dict[str, Any] = {
        "objective": "cross_entropy",
        "seed": 3,
        "run": "run_1",
        "checkpoint": "ckpt_1",
        "epoch": 40,
        "selection": "best_fgsm",
        "metrics": metrics(0.9, 20, 0.85),
        "outcome": counted(*attacks),
    }
    return report_row(**(given | changes))


def test_the_gaps_interval_counts_the_test_images_that_there_are() -> None:
    """A run on 100 images beside 10,000 of test knows the one accuracy well; an earlier version says of neither."""
    few = metrics(0.9, 100, 0.85)
    told = row(FGSM, metrics=few | {"test_accuracy_n": 10_000.0}).intervals["generalisation_gap"]
    assert told == difference_interval(0.9, 100, 0.85, 10_000)
    assert row(FGSM, metrics=few).intervals["generalisation_gap"] == difference_interval(0.9, 100, 0.85, 100)


def test_every_column_knows_its_images() -> None:
    """A worst case those that are right without an attack and under each; as many as its accuracy says."""
    outcome = counted(FGSM, WIDER, AUTO, ROUND)
    found = attacked_accuracies(outcome)
    assert len(found) == 5
    rights = {key: attacked_right(outcome, key) for key in found}
    assert {key: right and right_count(right) for key, right in rights.items()} == {
        key: round(10 * accuracy.value) for key, accuracy in found.items()
    }
    assert rights["worst_case@8/255"] == right_in_all([rights["fgsm@8/255"] or "", rights["autoattack@8/255"] or ""])


def test_batches_are_counted_into_accuracies() -> None:
    """Each attack's accuracy is its survivors over all n images, AutoAttack's what no part of it broke."""
    outcome = counted(FGSM, WIDER, AUTO)
    assert outcome.natural == Accuracy.of(8, 10)
    fgsm, wider, autoattack = outcome.attacks
    assert (fgsm.accuracy, fgsm.survivors) == (Accuracy.of(6, 10), {})
    assert wider.accuracy == Accuracy.of(1, 10)
    assert autoattack.accuracy == Accuracy.of(3, 10)
    assert autoattack.survivors == {"apgd-ce": 5, "apgd-t": 4, "fab-t": 4, "square": 3}


def test_a_part_that_had_no_image_left_leaves_none() -> None:
    """Once all are broken, later parts have no batch; they are there with 0 survivors, in their order."""
    batches = [*halves("natural", 8), *halves("autoattack@8/255:apgd-ce", 0)]
    (found,) = summarise(EvaluationSpec.model_validate({"attacks": [AUTO]}), batches, measured()).attacks
    assert list(found.survivors.items()) == [("apgd-ce", 0), ("apgd-t", 0), ("fab-t", 0), ("square", 0)]
    assert found.accuracy == Accuracy.of(0, 10)


def test_a_row_is_a_line_of_the_papers_table() -> None:
    """A row has the fractions, their n and an interval for each; the gap is to the whole test set, not the attacked."""
    line = row(FGSM, AUTO)
    assert (line.train_accuracy, line.test_accuracy, line.natural_accuracy) == (0.9, 0.85, 0.8)
    # FGSM leaves the first six images right, AutoAttack the first three: all three withstand both.
    assert line.accuracies == {"fgsm@8/255": 0.6, "autoattack@8/255": 0.3, "worst_case@8/255": 0.3}
    assert (line.n, line.train_n) == (10, 20)
    assert line.generalisation_gap == pytest.approx(0.05)
    assert line.intervals == {
        "train_accuracy": wilson_interval(0.9, 20),
        "natural_accuracy": wilson_interval(0.8, 10),
        "fgsm@8/255": wilson_interval(0.6, 10),
        "autoattack@8/255": wilson_interval(0.3, 10),
        "worst_case@8/255": wilson_interval(0.3, 10),
        "generalisation_gap": difference_interval(0.9, 20, 0.85, 20),
    }


def test_a_row_has_every_budget_and_norm() -> None:
    """One accuracy for each that was asked for, under a key that has the budget; one attack alone has no worst case."""
    assert row(WIDER, FGSM, ROUND).accuracies == {"fgsm@16/255": 0.1, "fgsm@8/255": 0.6, "fgsm@L2:0.5": 0.7}
    assert list(row(FGSM).accuracies) == ["fgsm@8/255"]


def test_a_row_has_all_that_speaks_against_it() -> None:
    """What training, preflight and the search for masked gradients found, errors first; of a sound model nothing."""
    assert (row(FGSM).doubts, row(FGSM).masking) == ((), None)
    finding = Finding(kind="class_count", severity="error", message="12 outputs.")
    masked = MaskingVerdict(verdict="SUSPECT", n=10, checks=(zero_gradient(10, 4), zero_gradient(10, 0)))
    outcome = counted(FGSM).model_copy(update={"findings": (finding,), "masking": masked})
    line = row(FGSM, outcome=outcome, metrics=metrics(0.9, 20, 0.85, mean_confidence=0.97))
    assert [doubt.kind for doubt in line.doubts] == ["class_count", "masked_gradients", "overconfident"]
    assert line.doubts[0].sentence == "12 outputs."
    assert line.doubts[1].sentence.count("no number throughout") == 1
    assert line.masking == "SUSPECT"


def test_a_summary_is_the_mean_over_seeds() -> None:
    """Every metric of every objective has its mean, deviation and Student interval over the seeds."""
    report = made_up()
    assert [(one.objective, one.seeds) for one in report.summaries] == [
        ("cross_entropy", (0, 1, 2)),
        ("policy_gradient", (0, 1, 2)),
    ]
    for summary, rows in zip(report.summaries, (report.rows[:3], report.rows[3:]), strict=True):
        assert summary.accuracies.keys() == {column.key for column in report.columns}
        found = {"natural_accuracy": summary.natural_accuracy} | summary.accuracies
        for name, mean in found.items():
            values = [metric(line, name) for line in rows]
            assert (mean.n, mean.mean) == (3, pytest.approx(sum(values) / 3))
            assert mean.interval == mean_interval(values, (0, 1), 500)
            assert mean.sd is not None


def test_the_attacks_that_objectives_are_compared_under_are_the_headlines() -> None:
    """All of the budget of training, where the worst of them is."""
    report = made_up()
    assert report.headline_column().key == "worst_case@8/255"
    assert [attack_label(attack) for attack in report.compared_attacks()] == ["fgsm@8/255", "autoattack@8/255"]


def test_a_comparison_is_paired_by_seed() -> None:
    """Under attack, naturally and in the gap the second objective is held against the first of the same seed."""
    report = made_up()
    assert report.headline == "worst_case@8/255"
    assert [one.metric for one in report.comparisons] == [report.headline, "natural_accuracy", "generalisation_gap"]
    for one in report.comparisons:
        differences = [
            metric(report.rows[3 + seed], one.metric) - metric(report.rows[seed], one.metric) for seed in range(3)
        ]
        assert (one.objective, one.baseline, one.seeds) == ("policy_gradient", "cross_entropy", (0, 1, 2))
        assert one.difference.mean == pytest.approx(sum(differences) / 3)
        assert one.p == pytest.approx(paired_p(differences))
        assert one.image_interval is None


def test_p_is_adjusted_for_all_tests_of_one_accuracy() -> None:
    """Of three objectives the smallest p counts three times, the next twice (Holm), none below a smaller one's."""
    rewards = [{"kind": "policy_gradient", "entropy_bonus": bonus} for bonus in (0, 0.1, 0.2)]
    report = made_up({"objectives": [{"kind": "cross_entropy"}, *rewards]})
    alike = [one for one in report.comparisons if one.metric == "natural_accuracy"]
    found = sorted(alike, key=lambda one: one.p or 1)
    first, second, third = [one.p or 0 for one in found]
    adjusted = [one.p_adjusted for one in found]
    assert adjusted[0] == pytest.approx(min(1, 3 * first))
    assert adjusted[1] == pytest.approx(min(1, max(3 * first, 2 * second)))
    assert adjusted[2] == pytest.approx(min(1, max(3 * first, 2 * second, third)))
    # Of two objectives each accuracy has one test, whatever else is compared.
    assert [one.p_adjusted for one in made_up().comparisons] == [one.p for one in made_up().comparisons]


def test_only_seeds_that_both_have_are_compared() -> None:
    """A run that is missing takes its partner out of the comparison, not out of the summary."""
    whole = made_up()
    report = made_up(rows=whole.rows[:5])
    assert [len(one.seeds) for one in report.summaries] == [3, 2]
    assert {one.seeds for one in report.comparisons} == {(0, 1)}
    alone = made_up(rows=whole.rows[3:])
    assert alone.comparisons == ()


def test_one_seed_has_no_deviation() -> None:
    """With a single seed there is a mean, and no deviation, interval or p: only what the test images tell."""
    report = made_up({"seeds": [7]})
    for summary in report.summaries:
        assert (summary.natural_accuracy.sd, summary.natural_accuracy.interval) == (None, None)
    assert {(one.p, one.p_adjusted) for one in report.comparisons} == {(None, None)}
    base, other = report.rows
    robust, natural, gap = report.comparisons
    keys = base.accuracies[report.headline], other.accuracies[report.headline]
    both = right_count(right_in_all([attacked(row) for row in (base, other)]))
    assert robust.image_interval == difference_interval(keys[1], 500, keys[0], 500, both=both)
    assert robust.images_apart == (500 * keys[1] - both, 500 * keys[0] - both)
    assert natural.image_interval != difference_interval(other.natural_accuracy, 500, base.natural_accuracy, 500)
    assert (gap.image_interval, gap.images_apart) == (None, None)
    assert "is Newcombe's, paired by image. It" in comparison_note(report)


def attacked(row: ReportRow) -> RightImages:
    """Right as they are and under every attack at the budget of training."""
    rights = [found.right for found in row.outcome.attacks if found.attack.eps == Fraction(8, 255)]
    return right_in_all([right for right in (row.outcome.natural_right, *rights) if right is not None])


def test_rows_that_do_not_tell_their_images_are_compared_as_two_samples() -> None:
    """As an earlier version wrote them, or of other images: what both are right on is not known."""
    report = made_up({"seeds": [7]})
    base, other = report.rows
    earlier = base.outcome.model_copy(
        update={
            "natural_right": None,
            "attacks": tuple(found.model_copy(update={"right": None}) for found in base.outcome.attacks),
        }
    )
    protocol = base.outcome.natural_protocol.model_copy(update={"dataset_sha256": "ef" * 32})
    for outcome in (earlier, base.outcome.model_copy(update={"natural_protocol": protocol})):
        found = made_up({"seeds": [7]}, rows=[base.model_copy(update={"outcome": outcome}), other])
        robust, natural, _ = found.comparisons
        assert natural.image_interval == difference_interval(other.natural_accuracy, 500, base.natural_accuracy, 500)
        assert (robust.images_apart, natural.images_apart) == (None, None)
        assert "is Newcombe's. It" in comparison_note(found)


def test_it_is_said_which_intervals_are_not_paired() -> None:
    """Where some networks were evaluated anew: by objective, and by checkpoint and accuracy where these differ."""
    rewards = [{"kind": "policy_gradient", "entropy_bonus": bonus} for bonus in (0, 0.1)]
    several = {"seeds": [7], "objectives": [{"kind": "cross_entropy"}, *rewards]}
    plain = several | {"evaluation": {"select": ["last"]}}
    both = several | {"evaluation": {"select": ["best_fgsm", "last"]}}
    whole = made_up(plain)
    name, robust = whole.rows[1].objective, whole.headline_column().name
    assert "paired by image and so wide" in comparison_note(whole).replace(",", "")
    for changes, of_all, words in (
        (plain, True, f"but for {objective_title(name)}: there it is of two samples"),
        (both, True, f"but for {objective_title(name)} (best FGSM): there it is of two samples"),
        (plain, False, f"but for {objective_title(name)} in {robust}: there it is of two samples"),
    ):
        rows = list(made_up(changes).rows)
        place = next(place for place, row in enumerate(rows) if row.objective == name)
        outcome = rows[place].outcome
        unknown = tuple(one.model_copy(update={"right": None}) for one in outcome.attacks)
        earlier = {"natural_right": None if of_all else outcome.natural_right, "attacks": unknown}
        rows[place] = rows[place].model_copy(update={"outcome": outcome.model_copy(update=earlier)})
        assert words in comparison_note(made_up(changes, rows=rows))


def test_intervals_of_one_seed_hold_together() -> None:
    """Each of three other objectives' is wider, for as many as answer the same question: at both checkpoints, six."""
    rewards = [{"kind": "policy_gradient", "entropy_bonus": bonus} for bonus in (0, 0.1, 0.2)]
    several = {"seeds": [7], "objectives": [{"kind": "cross_entropy"}, *rewards]}
    for changes, together in ((several, 3), (several | {"evaluation": {"select": ["best_fgsm", "last"]}}, 6)):
        report = made_up(changes)
        rows = {(row.objective, row.selection): row.natural_accuracy for row in report.rows}
        rights = {(row.objective, row.selection): row.outcome.natural_right or "" for row in report.rows}
        found = [one for one in report.comparisons if one.metric == "natural_accuracy"]
        assert len(found) == together
        for one in found:
            ours, theirs = (rows[name, one.selection] for name in (one.objective, one.baseline))
            both = right_count(right_in_all([rights[name, one.selection] for name in (one.objective, one.baseline)]))
            assert one.image_interval == difference_interval(ours, 500, theirs, 500, together=together, both=both)
            assert one.image_interval_of == together


def test_intervals_that_an_earlier_version_made_are_not_said_to_hold_together() -> None:
    """Each was of 95 % by itself, and did not say of how many it was one."""
    rewards = [{"kind": "policy_gradient", "entropy_bonus": bonus} for bonus in (0, 0.1, 0.2)]
    report = made_up({"seeds": [7], "objectives": [{"kind": "cross_entropy"}, *rewards]})
    document = report.model_dump(mode="json")
    for one in document["comparisons"]:
        one.pop("image_interval_of", None)
    earlier = Report.model_validate(document)
    assert "all 3 of an accuracy hold together" in comparison_note(report)
    assert "hold together" not in comparison_note(earlier)
    assert earlier.model_dump(mode="json") == document


def test_two_seeds_have_a_deviation_and_several_no_interval_of_images() -> None:
    """The training images count for the interval of the accuracy on them, and gaps may differ by up to two."""
    report = made_up({"seeds": [0, 1]})
    assert Estimate.of([0.1, 0.3], ACCURACY).sd == pytest.approx(0.2 / 2**0.5)
    assert {one.image_interval_of for one in report.comparisons} == {None}
    rows = [each.model_copy(update={"train_n": 40, "train_accuracy": 0.5 + each.seed / 40}) for each in report.rows]
    found = made_up({"seeds": [0, 1]}, rows=rows).summaries[0]
    assert found.train_accuracy.interval == mean_interval([0.5, 0.525], ACCURACY, 40)
    apart = [
        each.model_copy(update={"generalisation_gap": (1 if each.seed else -1) * (0.9 if one else -0.9)})
        for each, one in zip(report.rows, [True, True, False, False], strict=True)
    ]
    gaps = [one for one in made_up({"seeds": [0, 1]}, rows=apart).comparisons if one.metric == "generalisation_gap"]
    assert gaps[0].difference.interval == mean_interval([-1.8, 1.8], GAP_DIFFERENCE)


def test_a_report_has_all_that_it_was_made_of() -> None:
    """Comparisons at equal accuracy are with the first objective; of a sweep it is told what was selected."""
    data = DatasetDescription(dataset="digits")
    sweep = Sweep(over={"training.optimizer.lr": (0.1, 0.2)})
    trial = Trial(number=1, objective="ppo", values={"training.optimizer.lr": 0.2})
    selected = sweep_result(
        sweep, ExperimentEvaluationSpec(), [TrialRun(trial, "ppo 1", 9, 0.5, complete=True, stopped=False)]
    )
    whole = made_up(dataset=data, sweep=selected, warnings=["And one more."])
    assert (whole.dataset, whole.sweep) == (data, selected)
    assert whole.result.startswith(f"{selected.result} Under the worst of ")
    assert whole.warnings == (*sweep_warnings(selected), "And one more.")
    assert list(sweep_warnings(selected))
    assert {(one.objective, one.baseline) for one in whole.equal_accuracies} == {("policy_gradient", "cross_entropy")}
    assert {one.objective for one in whole.equal_accuracy_summaries} == {"policy_gradient"}


def test_objectives_are_compared_as_their_runs_call_them() -> None:
    """A database may hold labels that an earlier service wrote: the first is the baseline all the same."""
    earlier = ["cross_entropy", "policy_gradient (reward={'wrong': 0.0})"]
    whole = made_up({"seeds": [0]})
    rows = [row.model_copy(update={"objective": name}) for row, name in zip(whole.rows, earlier, strict=True)]
    report = made_up({"seeds": [0]}, rows=rows, objectives=earlier)
    assert {(one.objective, one.baseline) for one in report.comparisons} == {(earlier[1], earlier[0])}
    assert report.paper is not None
    assert [row.objective for row in report.paper.rows] == earlier


def test_a_report_survives_json() -> None:
    """A report written as JSON and read again is the same one."""
    whole = made_up()
    assert Report.model_validate_json(whole.model_dump_json()) == whole

"""What a report holds and derives. How it is shown is in tests/gauntlet/rendering."""

from typing import Any

import pytest

from gauntlet.report.report import Report
from gauntlet.report.report_row import ReportRow, report_row
from gauntlet.report.summaries import METRICS
from gauntlet.results.intervals import difference_interval, mean_interval, paired_p, wilson_interval
from gauntlet.results.outcome import Accuracy, EvaluationOutcome, summarise
from gauntlet.spec.evaluation import EvaluationSpec
from tests.reports import judged, made_up, measured

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
        "train_accuracy": 0.9,
        "train_n": 20,
        "test_accuracy": 0.85,
        "outcome": counted(*attacks),
    }
    return report_row(**(given | changes))


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
    accuracies = (line.train_accuracy, line.natural_accuracy, line.fgsm_accuracy, line.autoattack_accuracy)
    assert accuracies == (0.9, 0.8, 0.6, 0.3)
    assert (line.n, line.train_n) == (10, 20)
    assert line.generalisation_gap == pytest.approx(0.05)
    assert line.intervals == {
        "train_accuracy": wilson_interval(0.9, 20),
        "natural_accuracy": wilson_interval(0.8, 10),
        "fgsm_accuracy": wilson_interval(0.6, 10),
        "autoattack_accuracy": wilson_interval(0.3, 10),
        "generalisation_gap": difference_interval(0.9, 20, 0.85, 20),
    }


def test_a_column_nobody_asked_for_is_empty() -> None:
    """Without AutoAttack its column is None and has no interval."""
    line = row(FGSM)
    assert line.autoattack_accuracy is None
    assert "autoattack_accuracy" not in line.intervals
    assert row(AUTO).fgsm_accuracy is None


def test_a_column_shows_the_first_budget_asked_for() -> None:
    """Of two budgets the column has the first, and of two norms L∞; the outcome has all."""
    assert row(FGSM, WIDER).fgsm_accuracy == 0.6
    wider_first = row(WIDER, FGSM)
    assert wider_first.fgsm_accuracy == 0.1
    assert len(wider_first.outcome.attacks) == 2
    assert row(ROUND, FGSM).fgsm_accuracy == 0.6
    assert row(ROUND).fgsm_accuracy is None


def test_a_summary_is_the_mean_over_seeds() -> None:
    """Every metric of every objective has its mean, deviation and Student interval over the seeds."""
    report = made_up()
    assert [(one.objective, one.seeds) for one in report.summaries] == [
        ("cross_entropy", (0, 1, 2)),
        ("policy_gradient", (0, 1, 2)),
    ]
    for summary, rows in zip(report.summaries, (report.rows[:3], report.rows[3:]), strict=True):
        for metric in METRICS:
            values = [getattr(line, metric) for line in rows]
            found = getattr(summary, metric)
            assert (found.n, found.mean) == (3, pytest.approx(sum(values) / 3))
            assert found.interval == mean_interval(values)
            assert found.sd is not None


def test_a_comparison_is_paired_by_seed() -> None:
    """Every metric of the second objective is held against the first's of the same seed."""
    report = made_up()
    assert [one.metric for one in report.comparisons] == list(METRICS)
    for one in report.comparisons:
        differences = [
            getattr(report.rows[3 + seed], one.metric) - getattr(report.rows[seed], one.metric) for seed in range(3)
        ]
        assert (one.objective, one.baseline, one.seeds) == ("policy_gradient", "cross_entropy", (0, 1, 2))
        assert one.difference.mean == pytest.approx(sum(differences) / 3)
        assert one.p == pytest.approx(paired_p(differences))


def test_only_seeds_that_both_have_are_compared() -> None:
    """A run that is missing takes its partner out of the comparison, not out of the summary."""
    whole = made_up()
    report = made_up(rows=whole.rows[:5])
    assert [len(one.seeds) for one in report.summaries] == [3, 2]
    assert {one.seeds for one in report.comparisons} == {(0, 1)}
    alone = made_up(rows=whole.rows[3:])
    assert alone.comparisons == ()


def test_one_seed_has_no_deviation() -> None:
    """With a single seed there is a mean, and no deviation, interval or p."""
    report = made_up({"seeds": [7]})
    for summary in report.summaries:
        assert (summary.natural_accuracy.sd, summary.natural_accuracy.interval) == (None, None)
    assert {one.p for one in report.comparisons} == {None}


def test_a_report_survives_json() -> None:
    """A report written as JSON and read again is the same one."""
    whole = made_up()
    assert Report.model_validate_json(whole.model_dump_json()) == whole

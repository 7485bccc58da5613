from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from gauntlet.attack_specs import AttackSpec
from gauntlet.presets import overlay
from gauntlet.report import Accuracy, Report, ReportRow, report_row, summarise, to_markdown, wilson_interval
from gauntlet.spec import ExperimentSpec

FGSM, AUTO = {"kind": "fgsm", "eps": "8/255"}, {"kind": "autoattack", "eps": "8/255"}
WIDER = {"kind": "fgsm", "eps": "16/255"}


@dataclass(frozen=True)
class Batch:
    stage: str
    robust: Sequence[bool]


def attacks(*written: dict[str, str]) -> tuple[AttackSpec, ...]:
    return tuple(TypeAdapter(AttackSpec).validate_python(attack) for attack in written)


BATCHES = [
    Batch("natural", [True] * 4 + [False]),
    Batch("natural", [True] * 4 + [False]),
    Batch("fgsm@8/255", [True] * 4 + [False]),
    Batch("fgsm@8/255", [True, True, False, False, False]),
    Batch("fgsm@16/255", [False] * 5),
    Batch("fgsm@16/255", [True] + [False] * 4),
    Batch("autoattack@8/255:apgd-ce", [True] * 5),
    Batch("autoattack@8/255:apgd-ce", [False] * 3),
    Batch("autoattack@8/255:apgd-t", [True] * 4 + [False]),
    Batch("autoattack@8/255:fab-t", [True] * 4),
    Batch("autoattack@8/255:square", [True] * 3 + [False]),
]


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


def test_batches_are_counted_into_accuracies() -> None:
    """Each attack's accuracy is its survivors over all n images, AutoAttack's those of its last part."""
    outcome = summarise(attacks(FGSM, WIDER, AUTO), BATCHES, 10)
    assert outcome.natural == Accuracy.of(8, 10)
    fgsm, wider, autoattack = outcome.attacks
    assert (fgsm.accuracy.value, fgsm.accuracy.n) == (0.6, 10)
    assert wider.accuracy == Accuracy.of(1, 10)
    assert autoattack.accuracy == Accuracy.of(3, 10)
    assert autoattack.survivors == {"apgd-ce": 5, "apgd-t": 4, "fab-t": 4, "square": 3}
    assert fgsm.survivors == {}
    assert outcome == summarise(attacks(FGSM, WIDER, AUTO), reversed(BATCHES), 10)


def test_an_ensemble_that_broke_everything_leaves_nothing() -> None:
    """Parts without a batch count as none correct, also where natural accuracy is zero."""
    broken = [Batch("natural", [True, False]), Batch("autoattack@8/255:apgd-ce", [False])]
    (outcome,) = summarise(attacks(AUTO), broken, 2).attacks
    assert outcome.accuracy == Accuracy.of(0, 2)
    (outcome,) = summarise(attacks(AUTO), [Batch("natural", [False, False])], 2).attacks
    assert outcome.accuracy == Accuracy.of(0, 2)


def row(*asked: dict[str, str], **changes: Any) -> ReportRow:
    given_: dict[str, Any] = {
        "objective": "cross_entropy",
        "seed": 3,
        "run": "run_1",
        "checkpoint": "ckpt_1",
        "epoch": 40,
        "selection": "best_fgsm",
        "train_accuracy": 0.9,
        "train_n": 20,
        "outcome": summarise(attacks(*asked), BATCHES, 10),
    }
    return report_row(**(given_ | changes))


def test_a_row_is_a_line_of_the_papers_table() -> None:
    """A row has the fractions, their n, the gap train − natural and an interval for each accuracy."""
    line = row(FGSM, AUTO)
    assert (line.train_accuracy, line.natural_accuracy, line.fgsm_accuracy, line.autoattack_accuracy) == (
        0.9,
        0.8,
        0.6,
        0.3,
    )
    assert (line.n, line.train_n) == (10, 20)
    assert line.generalisation_gap == pytest.approx(0.1)
    assert line.intervals == {
        "train_accuracy": wilson_interval(0.9, 20),
        "natural_accuracy": wilson_interval(0.8, 10),
        "fgsm_accuracy": wilson_interval(0.6, 10),
        "autoattack_accuracy": wilson_interval(0.3, 10),
    }


def test_a_column_nobody_asked_for_is_empty() -> None:
    """Without AutoAttack its column is None and has no interval."""
    line = row(FGSM)
    assert line.autoattack_accuracy is None
    assert "autoattack_accuracy" not in line.intervals
    assert row(AUTO).fgsm_accuracy is None


def test_a_column_shows_the_first_budget_asked_for() -> None:
    """Of two budgets the column has the first; the outcome has both."""
    assert row(FGSM, WIDER).fgsm_accuracy == 0.6
    wider_first = row(WIDER, FGSM)
    assert wider_first.fgsm_accuracy == 0.1
    assert len(wider_first.outcome.attacks) == 2


def report(**changes: Any) -> Report:
    spec = ExperimentSpec.model_validate(
        overlay({"preset": "quickstart", "evaluation": {"attacks": [FGSM, AUTO]}}, changes.pop("spec", {}))
    )
    given_: dict[str, Any] = {
        "experiment": "exp_1",
        "name": "digits, twice",
        "status": "succeeded",
        "complete": True,
        "selected_on": spec.evaluation.select_on,
        "spec": spec,
        "rows": (row(FGSM, AUTO), row(FGSM, objective="policy_gradient", selection="last", train_accuracy=0.75)),
        "warnings": (),
    }
    return Report(**(given_ | changes))


def test_markdown_has_the_table_in_per_cent() -> None:
    """The table has a line per row: accuracies with intervals, a dash where none was asked for, the signed gap."""
    lines = to_markdown(report()).splitlines()
    assert lines[0] == "# digits, twice"
    header = lines.index("| objective | seed | checkpoint | train | natural | FGSM | AutoAttack | gap |")
    assert lines[header + 1] == "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: |"
    assert lines[header + 2] == (
        "| cross_entropy | 3 | epoch 40 (best fgsm) | 90.0 [69.9, 97.2] | 80.0 [49.0, 94.3] | 60.0 [31.3, 83.2] "
        "| 30.0 [10.8, 60.3] | +10.0 |"
    )
    second = lines[header + 3]
    assert second.startswith("| policy_gradient | 3 | epoch 40 (last) | 75.0 ")
    assert second.endswith("| – | -5.0 |")


def test_markdown_says_how_it_was_measured() -> None:
    """Data set, training budget, attacks with exact budgets and n are told."""
    text = to_markdown(report())
    for told in ("digits", "ε = 32/255", "40 epochs", "batches of 32", "rmsprop at 0.0003", "on 10 test images"):
        assert told in text
    assert "FGSM at ε = 8/255, AutoAttack at ε = 8/255" in text


@pytest.mark.parametrize(
    ("evaluation", "told"),
    [
        ({}, ["The best checkpoint was selected on the test set, as in the paper."]),
        ({"select": ["last"]}, []),
        (
            {"select_on": "validation"},
            [
                "Held out for validation: a tenth of the training images.",
                "The best checkpoint was selected on the validation set, not on the test set as in the paper.",
            ],
        ),
        (
            {"select_on": "validation", "validation_samples": 70, "select": ["last"]},
            ["Held out for validation: 70 of the training images."],
        ),
    ],
    ids=["test", "test, last only", "validation", "validation, last only"],
)
def test_markdown_says_what_selected_and_what_was_held_out(evaluation: dict[str, Any], told: list[str]) -> None:
    """The set that chose the best checkpoint is named where one was chosen, held-out images wherever there are any."""
    shown = report(spec={"evaluation": evaluation})
    assert shown.selected_on == evaluation.get("select_on", "test")
    text = to_markdown(shown)
    sentences = [line for line in told if line in text]
    assert sentences == told
    assert text.count("selected on") + text.count("Held out") == len(told)


def test_markdown_says_what_is_missing_or_suspect() -> None:
    """An unfinished experiment and every warning are told, a finished one without warnings says neither."""
    told = to_markdown(report(complete=False, status="running", rows=(), warnings=("Run 1 diverged.",)))
    assert "The experiment is running: rows may still be missing." in told
    assert "- Run 1 diverged." in told
    assert "may still be missing" not in to_markdown(report())


def test_a_report_survives_json() -> None:
    """A report written as JSON and read again is the same one."""
    whole = report()
    assert Report.model_validate_json(whole.model_dump_json()) == whole

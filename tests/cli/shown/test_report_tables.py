"""What a terminal shows of a report."""

from collections import Counter

import pytest
from rich.cells import cell_len

from cli.shown.report_tables import print_report
from gauntlet.rendering.tabled.accuracy_tables import comparison_table, result_tables, summary_tables
from gauntlet.report.report import Report, assemble
from gauntlet.report.report_row import report_row
from gauntlet.results.outcome import summarise
from gauntlet.spec.experiment import ExperimentSpec
from tests.cli.conftest import file, screen, written
from tests.reports import judged, made_up, measured, metrics

ATTACKS = [
    {"kind": "fgsm", "eps": ["2/255", "4/255", "8/255"]},
    {"kind": "pgd", "eps": "8/255", "steps": 20, "loss": "margin"},
    {"kind": "square", "eps": "0.5", "norm": "L2"},
    {"kind": "autoattack", "eps": "8/255"},
]


@pytest.fixture
def report(tiny_spec: ExperimentSpec) -> Report:
    """A finished experiment with one line."""
    row = report_row(
        objective="cross_entropy",
        seed=7,
        run="run_a",
        checkpoint="ckpt_a",
        epoch=4,
        selection="best_fgsm",
        metrics=metrics(0.9, 96, 0.5),
        outcome=summarise(
            tiny_spec.evaluation.of_one(),
            [judged("natural", [True, False] * 8), judged("fgsm@8/255", [True] + [False] * 15)],
            measured(),
        ),
    )
    return assemble(
        experiment="exp_a",
        name="[x]",
        status="succeeded",
        complete=True,
        spec=tiny_spec,
        rows=[row],
    )


def shown(report: Report, width: int = 80) -> str:
    console = screen(width)
    print_report(report, console)
    return written(console)


def test_a_finished_report_is_its_result_and_its_table(report: Report) -> None:
    """The sentence first, then per cent with the interval below; nothing is cut at 80 columns."""
    text = shown(report)
    assert " ".join(text.split()).startswith(report.result)
    for expected in (
        "[x]: accuracy",
        "cross-entropy",
        "seed 7, epoch 4",
        "(best FGSM)",
        "50.0",
        "28.0 to 72.0",
        "+40.0",
    ):
        assert expected in text
    assert "…" not in text


@pytest.fixture(scope="module")
def crowded() -> Report:
    """Long objectives, several attacks, norms and budgets, three seeds, two selections."""
    return made_up(
        {
            "name": "a name that says a lot of what was on somebody's mind when they wrote it",
            "objectives": [
                {"kind": "cross_entropy"},
                {"kind": "policy_gradient", "reward": {"wrong": 0.0}, "baseline": "batch_mean", "entropy_bonus": 0.05},
                {"kind": "policy_gradient", "label": "y" * 80},
            ],
            "evaluation": {"select": ["best_fgsm", "last"], "attacks": ATTACKS, "samples": 100},
        },
        warnings=["training failed. " + "z" * 300],
    )


@pytest.mark.parametrize("width", [200, 120, 80, 60, 40])
def test_every_number_is_whole_on_every_screen(crowded: Report, width: int) -> None:
    """Accuracies, intervals, means, differences and p, with long objectives and more attacks than fit."""
    text = shown(crowded, width)
    lines = text.splitlines()
    assert "…" not in text
    assert all(cell_len(line) <= width for line in lines)
    across = len(crowded.columns)
    for table in (
        *result_tables(crowded, across=across),
        *summary_tables(crowded, across=across),
        comparison_table(crowded),
    ):
        wanted = Counter(
            part
            for line in table.lines
            for cell, (_, align) in zip(line, table.columns, strict=True)
            if align == "number"
            for part in (cell.text, cell.aside)
            if part
        )
        assert all(any(part in line for line in lines) for part in wanted)
    words = "".join(text.split()).replace("│", "")
    assert "y" * 24 in words
    for column in crowded.columns:
        assert all(word in text for word in column.heading.split())


def test_in_a_file_each_row_is_a_line(report: Report) -> None:
    """With all its numbers, so that it can be searched."""
    console = file(20)
    print_report(report, console)
    (row,) = (line for line in written(console).splitlines() if line.startswith("cross-entropy  "))
    assert "seed 7, epoch 4 (best FGSM)" in row
    assert "50.0 (28.0 to 72.0)" in row


def test_warnings_and_failures_are_told(report: Report) -> None:
    """What makes a number suspect, and why one is missing, stands below the table."""
    failed = report.model_copy(update={"status": "failed", "warnings": ("training failed. The loss was [nan].",)})
    assert "The loss was [nan]." in shown(failed)
    assert "[x] (exp_a) failed." in shown(failed)


def test_an_unfinished_report_says_so(report: Report) -> None:
    """Without a line there is no empty table."""
    waiting = report.model_copy(update={"status": "queued", "complete": False, "rows": ()})
    assert shown(waiting) == "[x] (exp_a) is queued: the report is not complete.\n"

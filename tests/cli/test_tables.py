"""What a terminal shows of a report."""

import io

import pytest
from rich.console import Console

from cli.tables import print_report
from gauntlet.report.report import Report, assemble
from gauntlet.report.report_row import report_row
from gauntlet.results.outcome import summarise
from gauntlet.spec.experiment import ExperimentSpec
from tests.reports import judged, measured, metrics


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


def shown(report: Report) -> str:
    console = Console(file=io.StringIO(), width=80)
    print_report(report, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_finished_report_is_its_table(report: Report) -> None:
    """Per cent, the interval below, a dash where nothing was measured; nothing is cut at 80 columns."""
    text = shown(report)
    for expected in ("[x]: accuracy", "cross-entropy", "seed 7", "best fgsm", "50.0", "28–72", "8/255", "+40.0"):
        assert expected in text
    assert "…" not in text


def test_warnings_and_failures_are_told(report: Report) -> None:
    """What makes a number suspect, and why one is missing, stands below the table."""
    failed = report.model_copy(update={"status": "failed", "warnings": ("training failed. The loss was [nan].",)})
    assert "The loss was [nan]." in shown(failed)
    assert "[x] (exp_a) failed." in shown(failed)


def test_an_unfinished_report_says_so(report: Report) -> None:
    """Without a line there is no empty table."""
    waiting = report.model_copy(update={"status": "queued", "complete": False, "rows": ()})
    assert shown(waiting) == "[x] (exp_a) is queued: the report is not complete.\n"

"""The report as CSV: one line for each row and attack, natural accuracy first, for a statistics program."""

import csv
import io
from collections.abc import Iterator

from gauntlet.report.report import Report
from gauntlet.report.report_row import ReportRow
from gauntlet.results.outcome import Accuracy
from gauntlet.results.stage_results import NATURAL
from gauntlet.spec.attacks import attack_label
from gauntlet.spec.eps import format_eps

HEADER = (
    "experiment",
    "run",
    "objective",
    "seed",
    "checkpoint",
    "epoch",
    "selection",
    "train_accuracy",
    "train_n",
    "attack",
    "norm",
    "eps",
    "accuracy",
    "low",
    "high",
    "n",
    "protocol",
    "fingerprint",
    "weights_sha256",
)
# A spreadsheet would compute a cell that begins with one of these.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def to_csv(report: Report) -> str:
    """Accuracies are fractions, `low` and `high` their 95 % Wilson interval; a row's last lines are its worst cases."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER)
    for row in report.rows:
        for line in _lines(report.experiment, row):
            writer.writerow([_inert(cell) for cell in line])
    return text.getvalue()


def _lines(experiment: str, row: ReportRow) -> Iterator[tuple[object, ...]]:
    whose = (
        *(experiment, row.run, row.objective, row.seed, row.checkpoint, row.epoch, row.selection),
        *(row.train_accuracy, row.train_n),
    )
    outcome = row.outcome
    weights = outcome.weights_sha256
    natural = (outcome.natural_protocol.id, outcome.natural_fingerprint, weights)
    yield (*whose, NATURAL, "", "", *_numbers(outcome.natural), *natural)
    for found in outcome.attacks:
        attack = (attack_label(found.attack), found.attack.norm, format_eps(found.attack.eps))
        yield (*whose, *attack, *_numbers(found.accuracy), found.protocol.id, found.fingerprint, weights)
    for worst in outcome.worst_cases:
        yield (*whose, "worst case", worst.norm, format_eps(worst.eps), *_numbers(worst.accuracy), "", "", weights)


def _numbers(accuracy: Accuracy) -> tuple[object, ...]:
    return accuracy.value, *accuracy.interval, accuracy.n


def _inert(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell

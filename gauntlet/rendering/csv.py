"""Results as CSV: one line for each row and attack of a report, or for each image of an evaluation."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence

from gauntlet.report.report import Report
from gauntlet.report.report_row import ReportRow
from gauntlet.resources import ImageResult
from gauntlet.results.accuracy import Accuracy
from gauntlet.results.doubts import Doubt
from gauntlet.results.stage_results import NATURAL
from gauntlet.spec.eps import format_eps
from gauntlet.spec.evaluations.attacks import attack_label
from gauntlet.spec.evaluations.evaluation import EvaluationSpec
from gauntlet.spec.reading.texts import exactly

# Of every accuracy, whoever measured it.
ACCURACY_HEADER = (
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
    "masking",
    "doubts",
)
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
    *ACCURACY_HEADER,
)
# A spreadsheet would compute a cell that begins with one of these; some read full-width signs as the others.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def to_csv(report: Report) -> str:
    """Accuracies are fractions, `low` and `high` their 95 % Wilson interval; a row's last lines are its worst cases.

    `masking` and `doubts` are of the row: the verdict, and the kinds of all that speaks against its numbers.
    """
    lines = (line for row in report.rows for line in _lines(report.experiment, row))
    return written([HEADER, *lines])


def images_to_csv(
    spec: EvaluationSpec, pages: Iterable[Iterable[ImageResult]], doubts: Sequence[Doubt]
) -> Iterator[str]:
    """One line per image, three columns per attack; empty where an attack is not through with an image.

    The table comes in pieces: its header, then each page of images once it is asked for.

    `doubts` are of the whole evaluation, the same in every line.
    """
    names = [attack_label(attack) for attack in spec.attacks]
    columns = [f"{name} {column}" for name in names for column in ("robust", "predicted", "broken_by")]
    doubted = _kinds(doubts)

    def line(result: ImageResult) -> Sequence[object]:
        cells: list[object] = []
        for name in names:
            seen = result.attacks.get(name)
            cells += ["", "", ""] if seen is None else [int(seen.robust), seen.predicted, seen.broken_by or ""]
        return [result.position, result.label, result.natural, *cells, doubted]

    yield written([["position", "label", "natural", *columns, "doubts"]])
    for page in pages:
        yield written(map(line, page))


def _lines(experiment: str, row: ReportRow) -> Iterator[Sequence[object]]:
    whose = (
        *(experiment, row.run, row.objective, row.seed, row.checkpoint, row.epoch, row.selection),
        *(row.train_accuracy, row.train_n),
    )
    outcome = row.outcome
    said = (outcome.weights_sha256, row.masking or "", _kinds(row.doubts))
    natural = (outcome.natural_protocol.id, outcome.natural_fingerprint)
    yield (*whose, NATURAL, "", "", *_numbers(outcome.natural), *natural, *said)
    for found in outcome.attacks:
        attack = (attack_label(found.attack), found.attack.norm, format_eps(found.attack.eps))
        yield (*whose, *attack, *_numbers(found.accuracy), found.protocol.id, found.fingerprint, *said)
    yield from _corruption_lines(whose, row, said)
    if (certified := outcome.smoothing) is not None:
        measured = (certified.protocol.id, certified.fingerprint)
        for point in certified.curve:
            name = f"certified, sigma {exactly(certified.sigma)}"
            yield (*whose, name, "L2", exactly(point.radius), *_numbers(point.accuracy), *measured, *said)
    for worst in outcome.worst_cases:
        yield (*whose, "worst case", worst.norm, format_eps(worst.eps), *_numbers(worst.accuracy), "", "", *said)


def _corruption_lines(whose: Sequence[object], row: ReportRow, said: Sequence[object]) -> Iterator[Sequence[object]]:
    found = row.outcome.corruptions
    if found is None:
        return
    measured = (found.protocol.id, found.fingerprint)
    for of_one in found.kinds:
        for severity, accuracy in of_one.severities.items():
            name = f"{found.strengths} {of_one.kind} {severity}"
            yield (*whose, name, "", "", *_numbers(accuracy), *measured, *said)
    yield (*whose, f"{found.strengths} mean", "", "", *_numbers(found.mean), *measured, *said)


def _numbers(accuracy: Accuracy) -> tuple[object, ...]:
    return accuracy.value, *accuracy.interval, accuracy.n


def _kinds(doubts: Sequence[Doubt]) -> str:
    return " ".join(doubt.kind for doubt in doubts)


def written(lines: Iterable[Sequence[object]]) -> str:
    """The lines as CSV; what a spreadsheet would compute stands as text."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for line in lines:
        writer.writerow([_inert(cell) for cell in line])
    return text.getvalue()


def _inert(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and cell.lstrip(" ").startswith(_FORMULA) else cell

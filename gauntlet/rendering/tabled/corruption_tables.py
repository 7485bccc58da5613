"""Accuracy on corrupted images: a line for each kind, a column for each severity, and the means."""

from gauntlet.rendering.tables import Cell, Table, numbers, whose, words
from gauntlet.report.numbers import NOTHING, listed, per_cent
from gauntlet.report.report import Report
from gauntlet.report.report_row import ReportRow
from gauntlet.results.accuracy import Accuracy
from gauntlet.results.corruptions import CorruptionOutcome
from gauntlet.spec.evaluations.corruptions import NOT_MADE, STRENGTH_TITLES

_Found = tuple[ReportRow, CorruptionOutcome, str, dict[int, Accuracy], Accuracy]


def corruption_table(report: Report) -> Table | None:
    """For each row that was measured on corrupted images: its mean first, then each kind by severity."""
    found = [each for row in report.rows for each in _of_row(row)]
    severities = sorted({severity for _, _, _, by_severity, _ in found for severity in by_severity})

    def line(each: _Found) -> list[Cell]:
        row, _, kind, by_severity, mean = each
        measured = (by_severity.get(severity) for severity in severities)
        cells = [Cell(NOTHING if one is None else per_cent(one.value)) for one in measured]
        low, high = mean.interval
        return [*whose(row), Cell(kind), *cells, Cell(per_cent(mean.value), f"{per_cent(low)} to {per_cent(high)}")]

    columns = [*words("objective", "seed", "checkpoint", "corruption"), *numbers(*map(str, severities), "mean")]
    return Table.of(columns, found, line) if found else None


def corruption_note(report: Report) -> str:
    """What the table is of, whose strengths it has, and what it lacks of the published mean."""
    measured = [row.outcome.corruptions for row in report.rows if row.outcome.corruptions is not None]
    strengths = listed([STRENGTH_TITLES[whose] for whose in dict.fromkeys(found.strengths for found in measured)])
    missing = listed([kind.replace("_", " ") for kind in NOT_MADE])
    return (
        f"Accuracy in per cent on corrupted images by severity, with {strengths} strengths, and the means with 95 % "
        f"intervals. {missing.capitalize()} are not among the kinds, so that a mean is none of all fifteen kinds."
    )


def _of_row(row: ReportRow) -> list[_Found]:
    found = row.outcome.corruptions
    if found is None:
        return []
    by_kind: list[_Found] = [
        (row, found, of_one.kind.replace("_", " "), of_one.severities, of_one.mean) for of_one in found.kinds
    ]
    return [(row, found, "mean", found.severities, found.mean), *by_kind]

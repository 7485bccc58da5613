"""Certified accuracy: a line for each row that was certified, a column for each radius."""

from gauntlet.rendering.tables import Cell, Table, accuracy, numbers, whose, words
from gauntlet.report.numbers import NOTHING
from gauntlet.report.report import Report
from gauntlet.report.report_row import ReportRow
from gauntlet.results.smoothing import SmoothingOutcome
from gauntlet.spec.reading.texts import exactly


def certified_table(report: Report) -> Table | None:
    """For each row whose smoothed model was certified: its accuracy at each radius."""
    found = [(row, row.outcome.smoothing) for row in report.rows if row.outcome.smoothing is not None]
    radii = sorted({point.radius for _, certified in found for point in certified.curve})

    def line(each: tuple[ReportRow, SmoothingOutcome]) -> list[Cell]:
        row, certified = each
        by_radius = {point.radius: point.accuracy for point in certified.curve}
        measured = (by_radius.get(radius) for radius in radii)
        cells = [Cell(NOTHING) if one is None else accuracy(one.value, one.interval) for one in measured]
        return [*whose(row), Cell(exactly(certified.sigma)), *cells]

    columns = [*words("objective", "seed", "checkpoint"), *numbers("σ", *(f"L2 {exactly(radius)}" for radius in radii))]
    return Table.of(columns, found, line) if found else None


def certified_note(report: Report) -> str:
    """What the table is of, and how sure each certificate is."""
    (first, *_) = (row.outcome.smoothing for row in report.rows if row.outcome.smoothing is not None)
    return (
        "Share of images, in per cent, that the model smoothed with Gaussian noise takes for the right class whatever "
        f"changes them by less than the radius, with 95 % intervals: certified on {first.protocol.n:,} images by "
        f"{first.draws:,} draws each, wrong for an image with a chance of {100 * first.alpha:.15g} % at most. It "
        "is not the model itself that is certified."
    )

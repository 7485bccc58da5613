"""How sure a model is of natural images, how far its decisions lie and how steep it is: a line for each row."""

from gauntlet.rendering.tables import Cell, Table, accuracy, numbers, whose, words
from gauntlet.report.numbers import NOTHING, per_cent
from gauntlet.report.report import Report
from gauntlet.report.report_row import ReportRow
from gauntlet.results.margins import MarginOutcome, Quartiles
from gauntlet.spec.eps import Eps
from gauntlet.spec.evaluations.attack_titles import budget
from gauntlet.spec.evaluations.attacks import Norm

_LEVELS = 255
_MOST_BUDGETS = 4

MARGIN_NOTE = (
    "Of the natural images. Confidence is the mean of the largest probability, p(right) that of the right class; given "
    "up are images whose right class is less likely than one drawn by lot. Of those that are right: the margin (the "
    "right logit minus the largest other), the slope (the L1 norm of its gradient, in logits for a 255th of the "
    "pixels' range), and the distance in 255ths (L∞) at which a straight line would reach the decision; medians, with "
    "the lower and the upper quartile. Straight is the share of all images that are right and lie beyond the budget on "
    "that line. Where attacks leave less, the network bends towards another class on the way; where they leave more, "
    "it bends away, or they have failed."
)


def margin_table(report: Report) -> Table | None:
    """For each row with margins: confidence, what it gives up, margin, slope, distance, and what a line promises."""
    found = [(row, row.outcome.margins) for row in report.rows if row.outcome.margins is not None]
    asked: set[tuple[Norm, Eps]] = {(line.norm, line.eps) for _, margins in found for line in margins.straight}
    budgets = sorted(asked)[:_MOST_BUDGETS]

    def line(each: tuple[ReportRow, MarginOutcome]) -> list[Cell]:
        row, margins = each
        straight = {(line.norm, line.eps): line.accuracy for line in margins.straight}
        promised = (straight.get(one) for one in budgets)
        return [
            *whose(row),
            Cell(per_cent(margins.confidence)),
            Cell(per_cent(margins.right_probability)),
            accuracy(margins.given_up.value, margins.given_up.interval),
            _quartiles(margins.margins),
            _quartiles(margins.slopes, 1 / _LEVELS),
            _quartiles(margins.distances, _LEVELS),
            *(Cell(NOTHING) if one is None else accuracy(one.value, one.interval) for one in promised),
        ]

    columns = [
        *words("objective", "seed", "checkpoint"),
        *numbers("confidence", "p(right)", "given up", "margin", "slope", "distance"),
        *numbers(*(f"straight, {budget(*one)}" for one in budgets)),
    ]
    return Table.of(columns, found, line) if found else None


def _quartiles(found: Quartiles | None, scale: float = 1.0) -> Cell:
    if found is None:
        return Cell(NOTHING)
    lower, median, upper = (
        "∞" if one is None else f"{one * scale:.3g}" for one in (found.lower, found.median, found.upper)
    )
    return Cell(median, f"{lower} to {upper}")

"""The tables that answer the question: accuracies per run, over seeds, compared, and beside the paper's."""

from collections.abc import Iterator, Sequence

from gauntlet.rendering.tables import (
    Cell,
    Column,
    Table,
    accuracy,
    difference,
    estimate,
    numbers,
    objective_cell,
    p_cells,
    p_headings,
    pair_cell,
    whose,
    words,
)
from gauntlet.report.compared.paper import Beside, PaperRow
from gauntlet.report.numbers import NOTHING, per_cent, points, selection_title, signed
from gauntlet.report.report import Report
from gauntlet.report.report_row import ReportRow
from gauntlet.report.summaries import Comparison, Summary
from gauntlet.results.doubts import Doubt


def result_tables(report: Report, *, across: int) -> list[Table]:
    """A line per row: train, natural, every accuracy under attack, gap, and what the checks said, if there were any.

    At most `across` accuracies under attack stand in one table, the one that objectives are compared in among the
    first; the others have tables of their own.
    """
    checked = any(row.doubts or row.masking for row in report.rows)

    def first(row: ReportRow) -> list[Cell]:
        train, natural, gap = (
            row.intervals.get(name) for name in ("train_accuracy", "natural_accuracy", "generalisation_gap")
        )
        return [
            *whose(row),
            accuracy(row.train_accuracy, train),
            accuracy(row.natural_accuracy, natural),
            *_attacked(row, groups[0]),
            difference(row.generalisation_gap, gap),
            *([Cell(checks(row.masking, row.doubts))] if checked else []),
        ]

    def further(keys: Sequence[str]) -> Table:
        columns = [*named, *numbers(*_headings(report, keys))]
        return Table.of(columns, report.rows, lambda row: [*whose(row), *_attacked(row, keys)])

    groups = list(_groups(report, across))
    named = words("objective", "seed", "checkpoint")
    whole = [*named, *numbers("train", "natural", *_headings(report, groups[0]), "gap")]
    whole += words("checks") if checked else []
    return [Table.of(whole, report.rows, first), *map(further, groups[1:])]


def summary_tables(report: Report, *, across: int) -> list[Table]:
    """A line per objective and selection: the means over seeds of the same columns; none where each has one seed."""
    if not has_several_seeds(report):
        return []
    return [_means(report, keys, first=number == 0) for number, keys in enumerate(_groups(report, across))]


def has_several_seeds(report: Report) -> bool:
    """Whether there is a mean over seeds to speak of."""
    return any(len(summary.seeds) > 1 for summary in report.summaries)


def comparison_table(report: Report) -> Table:
    """A line per comparison; p where some have one, and the interval of the test images where one seed has no other."""
    headings = {column.key: column.heading for column in report.columns}
    headings |= {"natural_accuracy": "natural", "generalisation_gap": "gap"}

    def line(found: Comparison) -> list[Cell]:
        change = estimate(found.difference, points)
        if found.image_interval is not None:
            change = difference(found.difference.mean, found.image_interval)
        return [
            pair_cell(report, found.objective, found.baseline, "−"),
            Cell(selection_title(found.selection)),
            Cell(headings[found.metric]),
            Cell(str(len(found.seeds))),
            change,
            *p_cells(found, headed),
        ]

    headed = p_headings(report.comparisons)
    columns = [*words("compared", "checkpoint", "in"), *numbers("seeds", "difference", *headed)]
    return Table.of(columns, report.comparisons, line)


def paper_table(report: Report, rows: Sequence[PaperRow]) -> Table:
    """Our line, the paper's, and for each of its accuracies ours, the paper's and the difference in points.

    An attack that no line has at the paper's budget has no column.
    """
    shown = [
        (heading, name)
        for heading, name in (("natural", "natural"), ("FGSM 8/255", "fgsm"), ("AutoAttack 8/255", "autoattack"))
        if any(getattr(row, name) is not None for row in rows)
    ]

    def line(row: PaperRow) -> list[Cell]:
        epochs = ", ".join(map(str, sorted(set(row.epochs))))
        ours = objective_cell(report, row.objective, f"epoch {epochs}", selection_title(row.selection))
        return [ours, Cell(row.published.name), *(_beside(getattr(row, name)) for _, name in shown)]

    return Table.of([*words("here", "in the paper"), *numbers(*(heading for heading, _ in shown))], rows, line)


def checks(masking: str | None, doubts: Sequence[Doubt]) -> str:
    """What stands beside a number: what was found against it, or that nothing was found or looked for."""
    if doubts:
        return "in doubt: " + ", ".join(doubt.kind.replace("_", " ") for doubt in doubts)
    return "not made" if masking is None else "passed"


def _groups(report: Report, across: int) -> Iterator[list[str]]:
    """The columns' keys, at most `across` together; the headline is among the first."""
    keys = [column.key for column in report.columns]
    if len(keys) > across:
        keys.remove(report.headline)
        keys.insert(0, report.headline)
    for start in range(0, len(keys), across):
        yield keys[start : start + across]


def _headings(report: Report, keys: Sequence[str]) -> list[str]:
    headings = {column.key: column.heading for column in report.columns}
    return [headings[key] for key in keys]


def _attacked(row: ReportRow, keys: Sequence[str]) -> list[Cell]:
    return [accuracy(row.accuracies[key], row.intervals.get(key)) for key in keys]


def _means(report: Report, keys: Sequence[str], *, first: bool) -> Table:
    def line(summary: Summary) -> list[Cell]:
        attacked = [estimate(summary.accuracies[key], per_cent) for key in keys]
        train, natural = (estimate(found, per_cent) for found in (summary.train_accuracy, summary.natural_accuracy))
        gap = estimate(summary.generalisation_gap, points)
        return [
            objective_cell(report, summary.objective),
            Cell(selection_title(summary.selection)),
            Cell(str(len(summary.seeds))),
            *([train, natural, *attacked, gap] if first else attacked),
        ]

    headings = _headings(report, keys)
    shown = ["train", "natural", *headings, "gap"] if first else headings
    columns: list[Column] = [*words("objective", "checkpoint"), *numbers("seeds", *shown)]
    return Table.of(columns, report.summaries, line)


def _beside(found: Beside | None) -> Cell:
    if found is None:
        return Cell(NOTHING)
    return Cell(f"{100 * found.ours.mean:.1f} / {100 * found.published:.2f}", signed(found.difference_points))

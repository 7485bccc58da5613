"""How a report is shown: its result in words, the accuracies, means and comparisons, and what makes them suspect."""

from rich.console import Console
from rich.text import Text

from cli.shown.listings import Cell, Column, Listing, print_listing
from cli.terminal import console, say, visible
from gauntlet.rendering import tables
from gauntlet.rendering.tabled.accuracy_tables import comparison_table, has_several_seeds, result_tables, summary_tables
from gauntlet.rendering.tables import Table
from gauntlet.report.numbers import counted
from gauntlet.report.report import Report

# So many columns say whose numbers follow: objective, seed and checkpoint, or the like.
_WHOSE = 3


def print_report(report: Report, to: Console = console) -> None:
    """What came out, then the tables, then what is missing or in doubt, and how the experiment stands."""
    if report.rows or (report.sweep is not None and report.sweep.trials):
        say(report.result, to)
    if report.rows:
        (results,) = result_tables(report, across=len(report.columns))
        _print_table(results, f"{report.name}: accuracy in per cent, with 95 % intervals", to)
    for means in summary_tables(report, across=len(report.columns)):
        _print_table(means, "Means over seeds, with 95 % intervals", to)
    if report.comparisons and has_several_seeds(report):
        _print_table(comparison_table(report), "Differences in points, paired by seed", to)
    for warning in report.warnings:
        say(f"! {warning}", to, "yellow")
    named = f"{report.name} ({report.experiment})"
    if not report.complete:
        say(f"{named} is {report.status}: the report is not complete.", to)
    elif report.status != "succeeded":
        say(f"{named} {report.status}.", to)


def _listing(table: Table, title: str) -> Listing:
    """The first columns, which say whose numbers these are, become two that share one in a table."""
    about, headings = table.columns[:_WHOSE], table.columns[_WHOSE:]
    columns = [Column(about[0][0]), Column(", ".join(heading for heading, _ in about[1:]), below=True)]
    columns += [Column(heading, "number" if align == "number" else "text") for heading, align in headings]
    rows: list[list[Cell]] = []
    for line in table.lines:
        which = [_named(heading, cell) for (heading, _), cell in zip(about[1:], line[1:_WHOSE], strict=True)]
        rows.append([line[0], Text(visible(", ".join(which)), "dim"), *line[_WHOSE:]])
    return Listing(columns, rows, title, about=2, split=True)


def _named(heading: str, cell: tables.Cell) -> str:
    match heading:
        case "seed":
            return f"seed {cell}"
        case "seeds":
            return counted(int(cell.text), "seed")
        case _:
            return str(cell)


def _print_table(table: Table, title: str, to: Console) -> None:
    print_listing(_listing(table, title), to)
    if table.left_out:
        say(f"{table.left_out:,} more lines are not shown here; gauntlet report --format csv has all of them.", to)

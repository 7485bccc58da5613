"""What a table is to all renderings: plain text in cells. Each rendering escapes what its own syntax needs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeVar

from gauntlet.report.numbers import Interval, p_value, per_cent, points, selection_title
from gauntlet.report.report import Report
from gauntlet.report.report_row import ReportRow
from gauntlet.report.summaries import Estimate, PairedTest
from gauntlet.spec.runs.objective_labels import objective_title

# A table of more lines helps nobody, and costs whoever asks for it; the CSV and the JSON have all of them.
MOST_LINES = 300

Align = Literal["text", "number"]
Column = tuple[str, Align]
T = TypeVar("T")


class Cell(NamedTuple):
    """What stands in a table, and what belongs to it: in parentheses, or on a smaller line below."""

    text: str
    aside: str = ""

    def __str__(self) -> str:
        return f"{self.text} ({self.aside})" if self.aside else self.text


Line = tuple[Cell, ...]


@dataclass(frozen=True)
class Table:
    """A heading and an alignment for each column, and the lines; `left_out` more are not shown."""

    columns: tuple[Column, ...]
    lines: tuple[Line, ...]
    left_out: int = 0

    @property
    def left_out_note(self) -> str:
        """That there are more lines, and where."""
        return f"The first {len(self.lines):,} of {len(self.lines) + self.left_out:,} lines; CSV and JSON have all."

    @classmethod
    def of(cls, columns: Sequence[Column], things: Sequence[T], line: Callable[[T], Sequence[Cell | str]]) -> "Table":
        """A line for each of the first `MOST_LINES` things."""
        lines = (line(thing) for thing in things[:MOST_LINES])
        shown = tuple(tuple(Cell(cell) if isinstance(cell, str) else cell for cell in cells) for cells in lines)
        return cls(tuple(columns), shown, max(0, len(things) - MOST_LINES))


def words(*headings: str) -> list[Column]:
    """Columns of text."""
    return [(heading, "text") for heading in headings]


def numbers(*headings: str) -> list[Column]:
    """Columns of numbers, which stand to the right."""
    return [(heading, "number") for heading in headings]


def accuracy(value: float, interval: Interval | None) -> Cell:
    """A fraction in per cent."""
    return _with(per_cent, value, interval)


def difference(value: float, interval: Interval | None) -> Cell:
    """A difference of fractions in points."""
    return _with(points, value, interval)


def estimate(found: Estimate, write: Callable[[float], str]) -> Cell:
    """A mean over seeds with its interval."""
    return _with(write, found.mean, found.interval)


def objective_cell(report: Report, objective: str, *asides: str) -> Cell:
    """An objective's name, marked where its numbers are in doubt."""
    doubt = ["in doubt"] if objective in report.in_doubt else []
    return Cell(objective_title(objective), ", ".join([*asides, *doubt]))


def pair_cell(report: Report, objective: str, baseline: str, sign: str) -> Cell:
    """Two objectives side by side; those are named whose numbers are in doubt."""
    doubted = [objective_title(each) for each in (objective, baseline) if each in report.in_doubt]
    names = f"{objective_title(objective)} {sign} {objective_title(baseline)}"
    return Cell(names, f"{' and '.join(doubted)} in doubt" if doubted else "")


def p_headings(tests: Sequence[PairedTest]) -> list[str]:
    """A column of p where there is any, and one of adjusted p where some test is one of several."""
    tested = [test for test in tests if test.p is not None]
    several = any(test.p_adjusted != test.p for test in tested)
    return ["p", "p, adjusted"] if several else ["p"] if tested else []


def p_cells(test: PairedTest, headings: Sequence[str]) -> list[Cell]:
    """A test's p in these columns."""
    return [Cell(p_value(p)) for p, _ in zip((test.p, test.p_adjusted), headings, strict=False)]


def whose(row: ReportRow) -> list[Cell]:
    """Objective, seed and checkpoint of a row, as its lines begin in every table."""
    checkpoint = Cell(f"epoch {row.epoch}", selection_title(row.selection))
    return [Cell(objective_title(row.objective)), Cell(str(row.seed)), checkpoint]


def _with(write: Callable[[float], str], value: float, interval: Interval | None) -> Cell:
    return Cell(write(value), "" if interval is None else f"{write(interval[0])} to {write(interval[1])}")

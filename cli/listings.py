"""Lists of any kind on a terminal of any width, or in a file.

On a screen a list is a table where one fits without cutting anything, and else a card per row: what a row is about on
a line of its own, and its fields below. Elsewhere it is one line per row, as long as need be, whatever the width. An
id, a number or an interval is always whole; only text is wrapped.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal, NamedTuple

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli.terminal import console, say, visible

# A column of text may be made as narrow as its longest word, and a longer one is broken.
_NARROWEST_TEXT = 24
_INDENT = 2
_GAP = 2
_BORDERS_PER_COLUMN = 3

# What stands in one field: a text, or several that stand below each other where there is room for that.
Cell = str | Text | Sequence[str | Text]


class Column(NamedTuple):
    """An id, a number or a text. In a table one that goes `below` shares the column before it, to save width."""

    heading: str
    kind: Literal["id", "number", "text"] = "text"
    below: bool = False


@dataclass(frozen=True)
class Listing:
    """Rows under their columns. If `grouped`, the first column is each table's title on a screen."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    title: str = ""
    grouped: bool = False
    empty: str = "There are none."


def print_listing(listing: Listing, to: Console = console) -> None:
    """Write it as fits where it goes."""
    if not to.is_terminal:
        for line in _lines(listing):
            to.print(Text(line), soft_wrap=True)
        return
    if not listing.rows:
        say(listing.empty, to)
    for part in _parts(listing):
        table = _table(part, to.width)
        if part.title:
            say(Text(visible(part.title), "italic"), to)
        if table is None:
            _print_cards(part, to)
        else:
            to.print(table)


def _parts(listing: Listing) -> Iterator[Listing]:
    if not listing.grouped:
        if listing.rows:
            yield listing
        return
    _, *columns = listing.columns
    for title, rows in groupby(listing.rows, key=lambda row: _joined(row[0], listing.columns[0])):
        yield Listing(columns, [row[1:] for row in rows], title.plain)


def _lines(listing: Listing) -> Iterator[str]:
    """The title, the headings and a line per row, the columns aligned and two spaces or more apart."""
    if listing.title:
        yield visible(listing.title)
    rows = [[column.heading for column in listing.columns]]
    rows += [
        [_joined(cell, column).plain for cell, column in zip(row, listing.columns, strict=True)] for row in listing.rows
    ]
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(
            " " * (width - cell_len(cell)) + cell if column.kind == "number" else cell + " " * (width - cell_len(cell))
            for cell, width, column in zip(row, widths, listing.columns, strict=True)
        ).rstrip()


def _table(listing: Listing, width: int) -> Table | None:
    """The table, if it fits with nothing cut; else None."""
    columns, rows = _stacked(listing)
    cells = [[Text("\n").join(_texts(cell)) for cell in row] for row in rows]
    widths = _widths(columns, cells, width - _BORDERS_PER_COLUMN * len(columns) - 1)
    if widths is None:
        return None
    table = Table()
    for column, its_width in zip(columns, widths, strict=True):
        justify: Literal["left", "right"] = "right" if column.kind == "number" else "left"
        table.add_column(column.heading, justify=justify, width=its_width, overflow="fold")
    for row in cells:
        table.add_row(*row)
    return table


def _stacked(listing: Listing) -> tuple[list[Column], list[list[Cell]]]:
    """The columns and rows with those that go below the one before them put there."""
    columns: list[Column] = []
    rows: list[list[Cell]] = [[] for _ in listing.rows]
    for number, column in enumerate(listing.columns):
        if column.below:
            columns[-1] = columns[-1]._replace(heading=f"{columns[-1].heading}\n{column.heading}")
        else:
            columns.append(column)
        for row, cells in zip(rows, listing.rows, strict=True):
            if column.below:
                row[-1] = [*_texts(row[-1]), *_texts(cells[number])]
            else:
                row.append(cells[number])
    return columns, rows


def _widths(columns: Sequence[Column], rows: Sequence[Sequence[Text]], room: int) -> list[int] | None:
    """A width for each column; None if ids, numbers and the longest words do not fit."""
    wanted, least = [], []
    for column, cells in zip(columns, zip(*rows, strict=True), strict=True):
        lines = [line for cell in cells for line in cell.plain.split("\n")]
        heading = max(map(cell_len, column.heading.split()), default=0)
        whole = max(heading, *map(cell_len, lines))
        words = max(heading, *(cell_len(word) for line in lines for word in ["", *line.split()]))
        least.append(min(words, _NARROWEST_TEXT) if column.kind == "text" else whole)
        wanted.append(max(whole, cell_len(column.heading)) if column.kind == "text" else whole)
    if sum(least) > room:
        return None
    while sum(wanted) > room:
        widest = max(range(len(wanted)), key=lambda at: (wanted[at] > least[at], wanted[at]))
        wanted[widest] -= 1
    return wanted


def _print_cards(listing: Listing, to: Console) -> None:
    about, *columns = listing.columns
    label_width = max((cell_len(column.heading) for column in columns), default=0)
    for row in listing.rows:
        first = _joined(row[0], about)
        first.stylize("bold")
        to.print(first, soft_wrap=about.kind == "id")
        for cell, column in zip(row[1:], columns, strict=True):
            if value := _joined(cell, column) if column.kind == "number" else Text("\n").join(_texts(cell)):
                _print_field(column, value, label_width, to)


def _print_field(column: Column, value: Text, label_width: int, to: Console) -> None:
    """The heading and, beside it or where it would be cut there below it, the value."""
    label = Text(f"{'':{_INDENT}}{column.heading}", "dim")
    start = _INDENT + label_width + _GAP
    words = value.plain.split() if column.kind == "text" else [value.plain]
    if start + max(map(cell_len, words)) > to.width:
        to.print(label, soft_wrap=True)
        start = 0 if column.kind == "id" else 2 * _INDENT
        label = Text(" " * start)
    label.append(" " * (start - cell_len(label.plain)))
    unbroken = column.kind == "id"
    for line in [value] if unbroken else value.wrap(to, max(1, to.width - start), overflow="fold"):
        to.print(label + line, soft_wrap=True)
        label = Text(" " * start)


def _texts(cell: Cell) -> list[Text]:
    parts: Iterable[str | Text] = [cell] if isinstance(cell, str | Text) else cell
    return [part if isinstance(part, Text) else Text(visible(part)) for part in parts]


def _joined(cell: Cell, column: Column) -> Text:
    return Text(" " if column.kind == "number" else ", ").join(_texts(cell))

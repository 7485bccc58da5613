"""Lists of any kind on a terminal of any width, or in a file.

On a screen a list is a table where one fits without cutting anything, or several that share their first columns; else a
card per row: what a row is about on a line of its own, and its fields below. Elsewhere it is one line per row, as long
as need be, whatever the width. An id, a number or an interval is always whole; only text is wrapped.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Literal, NamedTuple

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli.terminal import console, say, visible
from gauntlet.rendering import tables

# A column of text may be made as narrow as its longest word, and a longer one is broken.
_NARROWEST_TEXT = 24
_INDENT = 2
_GAP = 2
_BORDERS_PER_COLUMN = 3

# What stands in one field: a text, one with an aside, or several below each other where there is room for that.
Cell = str | Text | tables.Cell | list[str | Text]


class Column(NamedTuple):
    """An id, a number or a text. In a table one that goes `below` shares the column before it, to save width."""

    heading: str
    kind: Literal["id", "number", "text"] = "text"
    below: bool = False


@dataclass(frozen=True)
class Listing:
    """Rows under their columns, of which the first `about` say what a row is about.

    If `grouped`, the first column of all is each table's title on a screen. If it can be `split`, what does not fit
    beside the first columns goes into a table of its own with them.
    """

    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    title: str = ""
    about: int = 1
    grouped: bool = False
    split: bool = False
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
        if part.title:
            say(Text(visible(part.title), "italic"), to)
        if (table := _table(part, to.width)) is not None:
            to.print(table)
        elif part.split and (pieces := _split(part, to.width)):
            for piece in pieces:
                to.print(piece)
        else:
            _print_cards(part, to)


def print_card(about: str, fields: Sequence[tuple[Column, Cell | None]], to: Console = console) -> None:
    """One thing: its id on a line of its own, and below it what is known of it; a field without a value is left out."""
    known = [(column, cell) for column, cell in fields if cell]
    label_width = max((cell_len(column.heading) for column, _ in known), default=0)
    to.print(Text(visible(about), "bold"), soft_wrap=True)
    for column, cell in known:
        if to.is_terminal:
            _print_field(column, _lined(cell), label_width, to)
        else:
            label = f"{'':{_INDENT}}{column.heading:{label_width + _GAP}}"
            to.print(Text(label) + _joined(cell), soft_wrap=True)


def _parts(listing: Listing) -> Iterator[Listing]:
    if not listing.grouped:
        if listing.rows:
            yield listing
        return
    _, *columns = listing.columns
    for title, rows in groupby(listing.rows, key=lambda row: _joined(row[0]).plain):
        yield replace(listing, columns=columns, rows=[row[1:] for row in rows], title=title, grouped=False)


def _lines(listing: Listing) -> Iterator[str]:
    """The title, the headings and a line per row, the columns aligned and two spaces or more apart."""
    if listing.title:
        yield visible(listing.title)
    rows = [[column.heading for column in listing.columns]]
    rows += [[_joined(cell).plain for cell in row] for row in listing.rows]
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(
            " " * (width - cell_len(cell)) + cell if column.kind == "number" else cell + " " * (width - cell_len(cell))
            for cell, width, column in zip(row, widths, listing.columns, strict=True)
        ).rstrip()


def _table(listing: Listing, width: int) -> Table | None:
    """The table, if it fits with nothing cut; else None."""
    columns, rows = _stacked(listing)
    widths = _widths(columns, rows, width - _BORDERS_PER_COLUMN * len(columns) - 1)
    if widths is None:
        return None
    table = Table()
    for column, its_width in zip(columns, widths, strict=True):
        justify: Literal["left", "right"] = "right" if column.kind == "number" else "left"
        table.add_column(column.heading, justify=justify, width=its_width, overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def _split(listing: Listing, width: int) -> list[Table]:
    """Tables that fit, each with the first columns and as many others as it has room for; none if that is one each."""
    further = list(range(listing.about, len(listing.columns)))
    pieces: list[Table] = []
    while further:
        fitting = [
            (count, table) for count in range(1, len(further) + 1) if (table := _piece(listing, further[:count], width))
        ]
        if not fitting:
            return []
        count, table = fitting[-1]
        pieces.append(table)
        further = further[count:]
    return pieces if len(pieces) < len(listing.columns) - listing.about else []


def _piece(listing: Listing, further: Sequence[int], width: int) -> Table | None:
    shown = [*range(listing.about), *further]
    columns = [listing.columns[at] for at in shown]
    return _table(replace(listing, columns=columns, rows=[[row[at] for at in shown] for row in listing.rows]), width)


def _stacked(listing: Listing) -> tuple[list[Column], list[list[Text]]]:
    """The columns and rows with those that go below the one before them put there."""
    columns: list[Column] = []
    rows: list[list[Text]] = [[] for _ in listing.rows]
    for number, column in enumerate(listing.columns):
        if column.below:
            columns[-1] = columns[-1]._replace(heading=f"{columns[-1].heading}\n{column.heading}")
        else:
            columns.append(column)
        for row, cells in zip(rows, listing.rows, strict=True):
            cell = _lined(cells[number])
            if column.below:
                row[-1] = Text("\n").join([row[-1], cell])
            else:
                row.append(cell)
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
        heading_line = max(map(cell_len, column.heading.split("\n")))
        wanted.append(max(whole, heading_line) if column.kind == "text" else whole)
    if sum(least) > room:
        return None
    while sum(wanted) > room:
        widest = max(range(len(wanted)), key=lambda at: (wanted[at] > least[at], wanted[at]))
        wanted[widest] -= 1
    return wanted


def _print_cards(listing: Listing, to: Console) -> None:
    about, fields = listing.columns[: listing.about], listing.columns[listing.about :]
    label_width = max((cell_len(column.heading) for column in fields), default=0)
    for row in listing.rows:
        first = Text("  ").join(map(_joined, row[: listing.about]))
        first.stylize("bold")
        to.print(first, soft_wrap=any(column.kind == "id" for column in about))
        for cell, column in zip(row[listing.about :], fields, strict=True):
            if value := _joined(cell) if column.kind == "number" else _lined(cell):
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


def _lined(cell: Cell) -> Text:
    """The parts of a cell below each other."""
    match cell:
        case tables.Cell():
            return Text("\n").join(Text(visible(part)) for part in cell if part)
        case list():
            return Text("\n").join(map(_text, cell))
        case _:
            return _text(cell)


def _joined(cell: Cell) -> Text:
    """The parts of a cell in one line."""
    match cell:
        case tables.Cell():
            return _text(str(cell))
        case list():
            return Text(", ").join(map(_text, cell))
        case _:
            return _text(cell)


def _text(part: str | Text) -> Text:
    return part.copy() if isinstance(part, Text) else Text(visible(part))

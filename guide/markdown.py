"""Tables of Markdown."""

from collections.abc import Iterable, Iterator, Sequence


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Lines of a table without the columns that are empty in every row; nothing of no rows."""
    written = list(rows)
    kept = [place for place in range(len(headings)) if any(row[place] for row in written)]
    if not kept:
        return
    for row in (headings, ["---"] * len(headings), *written):
        # A bar would end a cell, in code too.
        yield f"| {' | '.join(row[place].replace('|', '&#124;') for place in kept)} |"
    yield ""


def cell(text: str | None) -> str:
    """Any text in one line."""
    return " ".join((text or "").split())

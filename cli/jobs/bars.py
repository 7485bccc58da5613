"""A bar with its percentage for each job, on a screen of any size."""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from types import TracebackType
from typing import Self

from rich.cells import cell_len
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from cli.jobs.watched import Row, Watched, row_of, rows_of_attacks
from cli.shown.tables import STYLES
from cli.terminal import console, visible
from gauntlet.resources import Status

_BAR = 20
_NARROWEST_BAR = 6
_GAP = "  "
_PERCENT = len("100 %")
# What is shown first where there is no room for all.
_URGENCY: tuple[Status, ...] = ("running", "failed", "paused", "queued", "cancelled", "succeeded")


class Bars:
    """A live view inside its `with` block; what `tell` writes stands above it.

    If `by_attack`, each attack of an evaluation has a bar of its own.
    """

    def __init__(self, to: Console, *, by_attack: bool = False) -> None:
        self._console = to
        self._by_attack = by_attack
        self._live = Live(console=to, auto_refresh=False)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def show(self, jobs: Sequence[Watched]) -> None:
        """Draw the jobs as they stand."""
        rows = [row for job in jobs for row in (rows_of_attacks(job) if self._by_attack else [row_of(job)])]
        size, ascii_only = self._console.size, self._console.options.ascii_only
        self._live.update(Group(*bars(rows, size.width, size.height - 1, ascii_only=ascii_only)), refresh=True)

    def tell(self, line: str) -> None:
        """Write a line above the bars."""
        self._console.print(Text(line, "yellow"))


def bars(rows: Sequence[Row], width: int, height: int, *, ascii_only: bool = False) -> list[Text]:
    """The lines: one a row where all fit beside their names, else the names have lines of their own.

    Where there are more than `height`, those that run come first, and a last line counts the others.
    """
    names = max((cell_len(visible(row.name)) for row in rows), default=0)
    standings = max((cell_len(visible(row.standing)) for row in rows), default=0)
    beside = names + _BAR + _PERCENT + standings + 3 * len(_GAP) <= width
    bar_width = _BAR if beside else max(_NARROWEST_BAR, min(_BAR, width - _PERCENT - standings - 3 * len(_GAP)))
    draw = partial(_drawn, names=names if beside else None, bar_width=bar_width, width=width, ascii_only=ascii_only)
    drawn: dict[int, list[Text]] = {}
    for at in sorted(range(len(rows)), key=lambda at: _URGENCY.index(rows[at].status)):
        lines = draw(rows[at])
        # A line is kept for what is left out, unless this is the last.
        if sum(map(len, drawn.values())) + len(lines) + (len(drawn) + 1 < len(rows)) > height:
            break
        drawn[at] = lines
    shown = [line for _, lines in sorted(drawn.items()) for line in lines]
    if len(drawn) < len(rows):
        left_out = Counter(row.status for at, row in enumerate(rows) if at not in drawn)
        counts = ", ".join(f"{left_out[status]} {status}" for status in _URGENCY if left_out[status])
        shown.append(Text(f"{'...' if ascii_only else '…'} and {counts}", "dim"))
    return shown


def _drawn(row: Row, *, names: int | None, bar_width: int, width: int, ascii_only: bool) -> list[Text]:
    name, style = visible(row.name), STYLES.get(row.status, "dim")
    bar = _bar(row.share, bar_width, style, ascii_only=ascii_only)
    standing = Text(visible(row.standing), style)
    if names is not None:
        line = Text(name + " " * (names - cell_len(name)) + _GAP)
        return [line + bar + Text(_GAP) + standing]
    above = list(_wrapped(Text(name), width))
    below = Text(_GAP) + bar + Text(_GAP) + standing
    if cell_len(below.plain) <= width:
        return [*above, below]
    return [*above, Text(_GAP) + bar, *(Text(_GAP) + line for line in _wrapped(standing, width - len(_GAP)))]


def _bar(share: float | None, width: int, style: str, *, ascii_only: bool) -> Text:
    done, rest = ("#", "-") if ascii_only else ("━", "─")
    filled = round(width * (share or 0))
    percent = "" if share is None else f"{int(100 * share)} %"
    return Text(done * filled, style) + Text(rest * (width - filled), "dim") + Text(f"{percent:>{_PERCENT + 2}}", style)


def _wrapped(text: Text, width: int) -> list[Text]:
    return list(text.wrap(console, max(1, width), overflow="fold"))

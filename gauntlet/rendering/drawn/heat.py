"""A square of shares: how many of each true class are taken for each class."""

from collections.abc import Sequence

from gauntlet.rendering.drawn import svg
from gauntlet.rendering.drawn.svg import FONT, LINE, PALETTE, SMALL, WIDTH, Panel

_MOST_NAMED, _MOST_NUMBERED = 20, 10
_LONGEST = 96.0  # pixels of a class's name
# A square that is fainter than this is not seen, and of 200 classes there are 40,000.
_LEAST = 0.01


def heat(title: str, classes: Sequence[str], shares: Sequence[Sequence[float]]) -> Panel:
    """One row of squares for each true class; `shares` are fractions of it, and few enough of them are written."""
    size = len(classes)
    named, numbered = size <= _MOST_NAMED, size <= _MOST_NUMBERED
    margin = min(_LONGEST, max(svg.width_of(name, SMALL) for name in classes)) + 8 if named else 8.0
    left, top = margin, LINE + margin
    side = (WIDTH - left - 1) / size
    drawn = [
        svg.text(0, FONT, "true class ↓"),
        svg.text(WIDTH, FONT, "taken for →", anchor="end"),
    ]
    for place, name in enumerate(classes if named else ()):
        middle = (place + 0.5) * side + 4
        drawn.append(svg.text(left - 6, top + middle, name, anchor="end", size=SMALL, most=_LONGEST))
        drawn.append(svg.text(left + middle, top - 6, name, size=SMALL, turned=True, most=_LONGEST))
    for true, row in enumerate(shares):
        for taken, share in enumerate(row):
            x, y = left + taken * side, top + true * side
            if share >= _LEAST:
                told = f"{classes[true]} taken for {classes[taken]}: {100 * share:.1f} %"
                drawn.append(svg.square(x, y, side, PALETTE[0], 0.8 * share, told))
            if numbered:
                written = f"{100 * share:.0f}"
                drawn.append(svg.text(x + side / 2, y + side / 2 + 4, written, anchor="middle", size=SMALL))
    return Panel(title, top + size * side + 2, "".join(drawn))

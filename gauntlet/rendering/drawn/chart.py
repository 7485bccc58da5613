"""Lines and points over two axes."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from gauntlet.rendering.drawn import svg
from gauntlet.rendering.drawn.svg import FONT, LINE, PALETTE, SMALL, WIDTH, Panel

_LEFT, _RIGHT, _PLOT = 40.0, 14.0, 190.0
_TICKS = 6
_SWATCH = 18.0
_MOST_POINTS, _MANY_POINTS = 500, 60
_DASHES = ("", "6 3", "2 2", "8 3 2 3")

Place = Callable[[float], float]


@dataclass(frozen=True)
class Look:
    """By what one of many series is told from the others."""

    colour: str = PALETTE[0]
    dashes: str = ""
    hollow: bool = False

    @classmethod
    def of(cls, thing: int, kind: int = 0) -> "Look":
        """The look of the points of one of up to 16 things, on lines of up to four kinds."""
        return cls(PALETTE[thing % len(PALETTE)], _DASHES[kind % len(_DASHES)], thing >= len(PALETTE))

    @classmethod
    def line(cls, thing: int) -> "Look":
        """The look of one of up to 32 lines without points."""
        return cls(PALETTE[thing % len(PALETTE)], _DASHES[thing // len(PALETTE) % len(_DASHES)])


@dataclass(frozen=True)
class Series:
    """What is drawn in one colour and named once: a line and its points, faint lines below it, points alone."""

    name: str
    line: Mapping[float, float] = field(default_factory=dict)
    faint: Sequence[Mapping[float, float]] = ()
    points: Sequence[tuple[float, float, str]] = ()
    look: Look = Look()


@dataclass(frozen=True)
class Axis:
    """What an axis is of, and its two ends; `whole` where it counts, `named` where places have names of their own."""

    name: str
    low: float
    high: float
    whole: bool = False
    named: Sequence[tuple[float, str]] = ()

    @classmethod
    def over(cls, name: str, values: Iterable[float], *, whole: bool = False) -> "Axis":
        """An axis from a tick below all values to one above them."""
        found = list(values)
        low, high = min(found), max(found)
        step = _step(low, high, whole=whole)
        return cls(name, math.floor(low / step) * step, math.ceil(high / step) * step, whole)

    def ticks(self) -> list[tuple[float, str]]:
        """Round values within the ends, and how they are written; or the places that have names."""
        if self.named:
            return list(self.named)
        step = _step(self.low, self.high, whole=self.whole)
        digits = max(0, -math.floor(math.log10(step) + 1e-9))
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [(place * step, f"{place * step:.{digits}f}".replace("-", "−")) for place in range(first, last + 1)]


def chart(title: str, horizontal: Axis, vertical: Axis, series: Sequence[Series], *, zero: bool = False) -> Panel:
    """The series over the axes, their names above; the vertical axis's name stands above it, so that nothing is turned.

    `zero` draws a line where y is 0.
    """
    legend = list(_legend(series))
    top = LINE + (legend[-1][1] + LINE if legend else 0) + 6
    bottom, right = top + _PLOT, WIDTH - _RIGHT

    def across(value: float) -> float:
        return _LEFT + (value - horizontal.low) / ((horizontal.high - horizontal.low) or 1) * (right - _LEFT)

    def up(value: float) -> float:
        return bottom - (value - vertical.low) / ((vertical.high - vertical.low) or 1) * _PLOT

    drawn = [svg.text(0, FONT, vertical.name)]
    drawn += [svg.moved(left, LINE + below, name) for left, below, name in legend]
    for value, written in vertical.ticks():
        drawn.append(svg.rule(_LEFT, up(value), right, up(value)))
        drawn.append(svg.text(_LEFT - 6, up(value) + 4, written, anchor="end", size=SMALL))
    for value, written in horizontal.ticks():
        drawn.append(svg.rule(across(value), top, across(value), bottom))
        drawn.append(svg.text(across(value), bottom + LINE, written, anchor="middle", size=SMALL))
    drawn.append(svg.rule(_LEFT, bottom, right, bottom, strong=True))
    if zero and vertical.low < 0:
        drawn.append(svg.rule(_LEFT, up(0), right, up(0), strong=True))
    drawn.append(svg.text((_LEFT + right) / 2, bottom + 2 * LINE + 2, horizontal.name, anchor="middle"))
    for one in series:
        drawn += [_line(seed, one, across, up, faint=True) for seed in one.faint]
    for one in series:
        if one.line:
            drawn.append(_line(one.line, one, across, up, faint=False))
        look = one.look
        drawn += [svg.dot(across(x), up(y), look.colour, told, hollow=look.hollow) for x, y, told in one.points]
    return Panel(title, bottom + 2 * LINE + 8, "".join(drawn))


def _line(values: Mapping[float, float], of: Series, across: Place, up: Place, *, faint: bool) -> str:
    shown = list(values.items())
    # More points than there are pixels show nothing more; the last one stays.
    every = -(-len(shown) // _MOST_POINTS)
    shown = [*shown[:-1:every], shown[-1]]
    thin = len(shown) > _MANY_POINTS
    points = [(across(at), up(value)) for at, value in shown]
    width = 0.8 if faint else 1.1 if thin else 1.8
    return svg.line(points, of.look.colour, width, dashes=of.look.dashes, faint=faint)


def _legend(series: Sequence[Series]) -> Iterator[tuple[float, float, str]]:
    """Where each name stands, from the left and from above, and the name with its colour: a bar, never a point."""
    left, below = 0.0, 0.0
    for one in series:
        width = _SWATCH + 6 + svg.width_of(one.name, SMALL) + 14
        if left and left + width > WIDTH:
            left, below = 0.0, below + LINE
        swatch = svg.swatch(_SWATCH, one.look.colour, dashes=one.look.dashes, hollow=one.look.hollow)
        yield left, below, swatch + svg.text(_SWATCH + 6, 12, one.name, size=SMALL, most=WIDTH - _SWATCH - 6)
        left += width


def _step(low: float, high: float, *, whole: bool) -> float:
    """The distance of ticks: 1, 2 or 5 times a power of ten, so that few are enough."""
    least = (high - low) / _TICKS or 1.0
    power = 10.0 ** math.floor(math.log10(least))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * (1 - 1e-9))
    return max(1.0, step) if whole else step

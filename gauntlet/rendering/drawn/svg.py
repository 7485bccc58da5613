"""Drawings as SVG: on a transparent ground, in ink that turns light on a dark screen, the same bytes every time.

Written by hand and not by a plotting library: text keeps its size in pixels, a panel stands alone on a phone, and a
report's page takes milliseconds (docs/decisions/0015-figures-by-hand.md).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH = 400
FONT, SMALL, LINE = 12, 11, 16
# Readable on white and on near-black, and told apart with any colour vision (after Okabe & Ito 2008).
PALETTE = ("#2f7fd1", "#e07b12", "#189a70", "#c4579b", "#8a6fd8", "#b08a00", "#4aa8c4", "#d1544a")
# Of axes and grids: half of the ink, on either ground.
_FAINT = "#80868f"
_INK, _INK_ON_DARK = "#1b1c1e", "#e4e6ea"
_FAMILY = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif"
# Of a font's size, the mean width of a character: somewhat more than of English text in the widest of these fonts.
_CHARACTER = 0.58
_GAP = 24

Look = Mapping[str, object]


@dataclass(frozen=True)
class Panel:
    """One drawing, `WIDTH` wide; `title` says what of, in plain text, and is not drawn in it."""

    title: str
    height: float
    content: str


def text(
    x: float,
    y: float,
    words: str,
    *,
    anchor: str = "start",
    size: int = FONT,
    turned: bool = False,
    most: float = WIDTH,
) -> str:
    """Words on a baseline; what is wider than `most` pixels is cut, and shown whole to whoever points at it."""
    longest = max(1, int(most / (_CHARACTER * size)))
    shown = escape(words)
    if len(words) > longest:
        shown = f"<title>{shown}</title>{escape(words[: longest - 1])}…"
    turn = {"transform": f"rotate(-90 {_n(x)} {_n(y)})"} if turned else {}
    return _tag("text", shown, {"x": x, "y": y, "font-size": size, "text-anchor": anchor}, turn)


def width_of(words: str, size: int) -> float:
    """About how wide the words are, and hardly wider."""
    return _CHARACTER * size * len(words)


def line(
    points: Sequence[tuple[float, float]], colour: str, width: float, *, dashes: str = "", faint: bool = False
) -> str:
    """A line through points."""
    path = " ".join(f"{_n(x)},{_n(y)}" for x, y in points)
    dashed = {"stroke-dasharray": dashes} if dashes else {}
    look = {"fill": "none", "stroke": colour, "stroke-width": width, "opacity": "0.3" if faint else "1"}
    return _tag("polyline", "", {"points": path}, look, dashed)


def rule(x1: float, y1: float, x2: float, y2: float, *, strong: bool = False) -> str:
    """A straight line of an axis, or of a grid."""
    path = f"M{_n(x1)} {_n(y1)}L{_n(x2)} {_n(y2)}"
    return _tag("path", "", {"d": path, "stroke": _FAINT, "stroke-width": 0.8, "opacity": "1" if strong else "0.25"})


def dot(x: float, y: float, colour: str, told: str, *, hollow: bool = False) -> str:
    """A point of the data, which says `told` to whoever points at it."""
    ink: Look = {"fill": colour}
    if hollow:
        ink = {"fill": "none", "stroke": colour, "stroke-width": 1.6}
    return _tag("circle", f"<title>{escape(told)}</title>", {"cx": x, "cy": y, "r": 3}, ink)


def square(x: float, y: float, side: float, colour: str, opacity: float, told: str) -> str:
    """A filled square, which says `told` to whoever points at it."""
    look = {"fill": colour, "fill-opacity": f"{opacity:.2f}"}
    return _tag("rect", f"<title>{escape(told)}</title>", {"x": x, "y": y, "width": side, "height": side}, look)


def swatch(width: float, colour: str, *, dashes: str = "", hollow: bool = False) -> str:
    """What stands before a name in a legend: a bar, drawn as the line is, and never a point that might be data."""
    if hollow:
        look = {"fill": "none", "stroke": colour, "stroke-width": 1.6}
        return _tag("rect", "", {"x": 0.8, "y": 4.8, "width": width - 1.6, "height": 6.4}, look)
    return line([(0, 8), (width, 8)], colour, 3 if dashes else 8, dashes=dashes)


def moved(x: float, y: float, content: str) -> str:
    """A drawing at another place."""
    return _tag("g", content, {"transform": f"translate({_n(x)} {_n(y)})"})


def inline(panel: Panel) -> str:
    """The panel as an element of a page, in the page's ink, and as wide as the page gives it room."""
    return _drawing(panel.title, WIDTH, panel.height, panel.content)


def document(panels: Sequence[Panel], title: str, *, across: int) -> str:
    """All panels as a file of its own, so many beside each other, each below its title."""
    drawn, top = [], 0.0
    for start in range(0, len(panels), across):
        row = panels[start : start + across]
        for place, panel in enumerate(row):
            heading = text(0, FONT, panel.title)
            drawn.append(moved(place * (WIDTH + _GAP), top, heading + moved(0, LINE + 4, panel.content)))
        top += LINE + 4 + max(panel.height for panel in row) + _GAP
    width, height = min(across, len(panels)) * (WIDTH + _GAP) - _GAP, top - _GAP
    style = f"<style>@media (prefers-color-scheme: dark) {{ svg {{ color: {_INK_ON_DARK}; }} }}</style>"
    alone = {"width": width, "height": height, "color": _INK}
    drawing = _drawing(title, width, height, style + "".join(drawn), alone)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{drawing}\n'


def _drawing(title: str, width: float, height: float, content: str, *alone: Look) -> str:
    area = {"xmlns": "http://www.w3.org/2000/svg", "viewBox": f"0 0 {_n(width)} {_n(height)}"}
    look = {"role": "img", "font-family": _FAMILY, "fill": "currentColor"}
    return _tag("svg", f"<title>{escape(title)}</title>{content}", area, look, *alone)


def _tag(name: str, content: str, *attributes: Look) -> str:
    """An element; what is text in `content` has been escaped. Attributes are never of a user's making."""
    written = (
        f'{key}="{_n(value) if isinstance(value, int | float) else value}"'
        for some in attributes
        for key, value in some.items()
    )
    return f"<{name} {' '.join(written)}>{content}</{name}>"


def _n(value: float) -> str:
    """A length to a tenth of a pixel."""
    return f"{value:.1f}".removesuffix(".0")

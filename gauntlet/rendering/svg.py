"""How figures look: SVG on a transparent ground, whose ink turns light on a dark screen, the same bytes every time."""

import io
import re
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Occurs nowhere else, so that what is drawn in it can be told from the data and recoloured.
_INK = "#1b1c1e"
_INK_ON_DARK = "#e4e6ea"
# Readable on white and on near-black, and told apart with any colour vision (after Okabe & Ito 2008).
PALETTE = ("#2f7fd1", "#e07b12", "#189a70", "#c4579b", "#8a6fd8", "#b08a00", "#4aa8c4", "#d1544a")

STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,  # a class may be called $x$
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), _INK),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.grid": True,
    "grid.color": "#80868f",
    "grid.alpha": 0.25,
    "grid.linewidth": 0.6,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
}
_WIDTH, _HEIGHT = 4.0, 3.1


def panels(columns: int, rows: int = 1, *, height: float = _HEIGHT) -> tuple[Figure, list[list[Axes]]]:
    """A figure of rows × columns axes, with room between them; `height` of each in inches."""
    figure = Figure(figsize=(_WIDTH * max(columns, 1.4), height * rows), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, sharey=True).tolist()


def serialise(figure: Figure, title: str) -> str:
    """The figure as an SVG document; `title` is what a screen reader says."""
    written = io.StringIO()
    figure.savefig(written, format="svg", metadata={"Title": title, "Date": None, "Creator": None})
    document = written.getvalue().replace(_INK, "currentColor")
    style = f"<style>@media (prefers-color-scheme: dark) {{ svg {{ color: {_INK_ON_DARK}; }} }}</style>"
    return re.sub(r"<svg ([^>]*)>", rf'<svg color="{_INK}" role="img" \1>{style}', document, count=1)


def inline(document: str) -> str:
    """The SVG element alone, to stand inside a page."""
    return document[document.index("<svg ") :]

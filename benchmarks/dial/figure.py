"""The dial as one figure: what was measured at each setting's last epoch, over its number of terms."""

import math
from collections.abc import Callable

from benchmarks.dial.judge import BASELINE, DIAL, Last, Verdict
from gauntlet.rendering.drawn.chart import Axis, Look, Series, chart
from gauntlet.rendering.drawn.svg import Panel, document

# A step for each doubling; all terms, which are cross-entropy, stand a good way to the right.
_ALL_TERMS = 9.0
_PLACES = {name: math.log2(int(name.removeprefix("T = "))) if name != BASELINE else _ALL_TERMS for name in DIAL}
_MEASURES: dict[str, Callable[[Last], float]] = {
    "natural": lambda last: last.natural,
    "APGD-T": lambda last: last.robust,
    "mean confidence": lambda last: last.confidence,
    "train − natural": lambda last: last.gap,
}


def figure(dataset: str, verdict: Verdict) -> str | None:
    """An SVG of two panels, a line through the means and a point for each seed; None with fewer than two settings."""
    found = {arm.name: list(arm.by_seed.values()) for arm in verdict.arms if arm.name in DIAL}
    settings = [name for name in DIAL if name in found]
    if len(settings) < 2:  # noqa: PLR2004  # a line has two ends
        return None
    ticks = [(_PLACES[name], "∞" if name == BASELINE else name.removeprefix("T = ")) for name in settings]
    terms = Axis("terms of −Σ (1 − p)ᵏ / k", ticks[0][0], ticks[-1][0], named=ticks)

    def panel(title: str, unit: str, measures: slice) -> Panel:
        series = []
        for place, (name, measure) in list(enumerate(_MEASURES.items()))[measures]:
            seeds = {_PLACES[setting]: [100 * measure(last) for last in found[setting]] for setting in settings}
            line = {at: sum(values) / len(values) for at, values in seeds.items()}
            points = [(at, value, f"{name}: {value:.1f}") for at, values in seeds.items() for value in values]
            series.append(Series(name, line=line, points=points, look=Look.of(place)))
        values = [value for one in series for _, value, _ in one.points]
        return chart(title, terms, Axis.over(unit, values), series, zero=True)

    panels = [
        panel("accuracy at the last epoch", "per cent", slice(2)),
        panel("confidence and gap", "per cent, points", slice(2, 4)),
    ]
    return document(panels, f"The dial from reward to cross-entropy: {dataset}", across=2)

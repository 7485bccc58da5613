"""Intervals of what is estimated from a sample."""

import math

_Z_95 = 1.959963984540054


def wilson_interval(fraction: float, n: int) -> tuple[float, float]:
    """The 95 % score interval of a proportion of n (Wilson 1927, JASA 22); it stays inside [0, 1]."""
    centre = fraction + _Z_95**2 / (2 * n)
    spread = _Z_95 * math.sqrt(fraction * (1 - fraction) / n + _Z_95**2 / (4 * n**2))
    scale = 1 + _Z_95**2 / n
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)

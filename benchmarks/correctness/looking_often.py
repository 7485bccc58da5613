"""How often a Wilson interval holds the accuracy when images are added until it is narrow, and how many that takes.

    python -m benchmarks.correctness.looking_often

Decision 0040 has what it says. Images are right independently with probability p; after every `step` of them the
interval is looked at, and the first that is no wider than asked for is kept, or the last of all.
"""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

_Z_95 = 1.959963984540054
_TRIALS = 20_000
_SHARES = np.linspace(0.02, 0.5, 49)
_SHOWN = (0.1, 0.25, 0.5)


@dataclass(frozen=True)
class Rule:
    """Look after every `step` images of at most `most`, until the interval is ±`half` or narrower."""

    step: int
    most: int
    half: float


RULES = (Rule(1_000, 10_000, 0.01), Rule(1_000, 10_000, 0.02), Rule(100, 10_000, 0.02), Rule(100, 2_000, 0.05))


def intervals(right: NDArray[np.int64], n: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Wilson's, as `gauntlet.results.intervals.wilson_interval` has them, of whole arrays."""
    fraction = right / n
    centre = fraction + _Z_95**2 / (2 * n)
    spread = _Z_95 * np.sqrt(fraction * (1 - fraction) / n + _Z_95**2 / (4 * n**2))
    scale = 1 + _Z_95**2 / n
    return (centre - spread) / scale, (centre + spread) / scale


def stopped(rule: Rule, p: float, draw: Generator, trials: int = _TRIALS) -> tuple[float, float, float]:
    """Coverage with the rule, the mean number of images, and coverage at that number had it been fixed."""
    looks = rule.most // rule.step
    n = rule.step * np.arange(1, looks + 1)
    right = np.cumsum(draw.binomial(rule.step, p, size=(trials, looks)), axis=1)
    low, high = intervals(right, n)
    narrow = (high - low) / 2 <= rule.half
    narrow[:, -1] = True
    first = narrow.argmax(axis=1)
    holds = (low <= p) & (p <= high)
    usual = int(np.median(first))
    return float(holds[np.arange(trials), first].mean()), float(n[first].mean()), float(holds[:, usual].mean())


def main() -> None:
    """Print a line for each rule."""
    draw = np.random.default_rng(0)
    for rule in RULES:
        found = {float(p): stopped(rule, float(p), draw) for p in _SHARES}
        worst = min(found, key=lambda p: found[p][0])
        print(f"{rule}: worst coverage {found[worst][0]:.4f} at p = {worst:.2f}")
        for p in _SHOWN:
            coverage, images, fixed = stopped(rule, p, draw)
            print(f"  p = {p}: {coverage:.4f} after {images:,.0f} images on average; {fixed:.4f} where n is fixed")


if __name__ == "__main__":
    main()

"""Timing several ways of doing one thing so that a machine's moods fall on all of them alike."""

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any


def race(ways: Mapping[str, Callable[[], object]], *, images: int, rounds: int, base: str) -> dict[str, Any]:
    """Images/s of each way and its ratio to `base`, over interleaved rounds.

    Every way runs once before anything is timed. A ratio is the median of the rounds' own ratios, so that a slow spell
    of the machine hits both sides of it; with it come the least and the greatest.
    """
    for run in ways.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, run in ways.items():
            started = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - started)
    found = {}
    for name, spent in seconds.items():
        ratios = [slow / fast for slow, fast in zip(seconds[base], spent, strict=True)]
        found[name] = {
            "images_per_second": round(images / statistics.median(spent), 1),
            "ratio": round(statistics.median(ratios), 2),
            "ratio_range": [round(min(ratios), 2), round(max(ratios), 2)],
        }
    return found


def table(found: Mapping[str, Mapping[str, Any]]) -> str:
    """The rows as text, in their order."""
    width = max(map(len, found))
    lines = [f"{'':{width}}  images/s  × base  (range)"]
    for name, row in found.items():
        low, high = row["ratio_range"]
        lines.append(f"{name:{width}}  {row['images_per_second']:8.0f}  {row['ratio']:6.2f}  ({low:.2f}-{high:.2f})")
    return "\n".join(lines)

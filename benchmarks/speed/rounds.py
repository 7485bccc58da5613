"""Timing several ways of doing one thing so that a machine's moods fall on all of them alike."""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.machine import describe_machine

CLOCKS: Mapping[str, Callable[[], float]] = {"wall": time.perf_counter, "processor": time.process_time}


def prepare(
    description: str | None, *, images: int | None, rounds: int | None = 9, races: Sequence[str] = ()
) -> argparse.Namespace:
    """The options that every race has, with torch's threads set as they say; where there are several, which are run."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--images", type=int, default=images, help="images in a pass")
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--threads", type=int, default=1)
    clock = "what seconds are: of the wall, or of this process on a processor that others keep busy; not for a GPU"
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help=clock)
    parser.add_argument("--out", type=Path)
    if races:
        parser.add_argument("--races", nargs="+", choices=races, default=list(races))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    return options


def random_images(count: int) -> tuple[Tensor, Tensor]:
    """Noise of CIFAR-10's shape, uint8 [n, 3, 32, 32], and labels int64 [n]; always the same."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (count, 3, 32, 32), dtype=torch.uint8, generator=generator)
    return pixels, torch.randint(10, (count,), generator=generator)


def race(
    ways: Mapping[str, Callable[[], object]], *, images: int, rounds: int, base: str, clock: str = "wall"
) -> dict[str, Any]:
    """Images/s of each way and its ratio to `base`, over interleaved rounds.

    Every way runs once before anything is timed. A ratio is the median of the rounds' own ratios, so that a slow spell
    of the machine hits both sides of it; with it come the least and the greatest.
    """
    now = CLOCKS[clock]
    for run in ways.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, run in ways.items():
            started = now()
            run()
            seconds[name].append(now() - started)
    found = {}
    for name, spent in seconds.items():
        ratios = [slow / fast for slow, fast in zip(seconds[base], spent, strict=True)]
        found[name] = {
            "images_per_second": round(images / statistics.median(spent), 1),
            "ratio": round(statistics.median(ratios), 2),
            "ratio_range": [round(min(ratios), 2), round(max(ratios), 2)],
        }
    return found


def publish(options: argparse.Namespace, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Print what was found and what was asked for, and write both where `--out` says."""
    result = _told(options, found, wanted)
    if options.out is None:
        return
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n")


def publish_race(options: argparse.Namespace, name: str, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """As `publish`, of one race of several: in the file it takes its own place, and others keep theirs."""
    result = _told(options, found, wanted)
    if options.out is None:
        return
    options.out.parent.mkdir(parents=True, exist_ok=True)
    written = json.loads(options.out.read_text()) if options.out.exists() else {"races": {}}
    written["races"][name] = result
    options.out.write_text(json.dumps(written, indent=1) + "\n")


def _told(options: argparse.Namespace, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    print(table(found))
    print(json.dumps(wanted, indent=1), flush=True)
    settings = {name: getattr(options, name) for name in ("device", "threads", "clock", "images", "rounds")}
    return {"machine": describe_machine()} | settings | {"rows": found, "wanted": wanted}


def table(found: Mapping[str, Mapping[str, Any]]) -> str:
    """The rows as text, in their order."""
    width = max(map(len, found))
    lines = [f"{'':{width}}  images/s  × base  (range)"]
    for name, row in found.items():
        low, high = row["ratio_range"]
        lines.append(f"{name:{width}}  {row['images_per_second']:8.0f}  {row['ratio']:6.2f}  ({low:.2f}-{high:.2f})")
    return "\n".join(lines)

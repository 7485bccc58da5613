"""Is the training step as fast as before there were options that are off? Two source trees, turn by turn.

    git worktree add BEFORE be74c24
    python -m benchmarks.speed.option_cost --before BEFORE --out benchmarks/results/option_cost.json

The paper's network at batch 32 under FGSM, as `training_step` has it in each tree, with everything that was
added since left at its default. Each tree has a process of its own, which computes while the other waits. Seconds are
the processor's, so that others' work on a busy machine counts less. A ratio is images/s now as a multiple of images/s
before: the median of the rounds' own, with the least and the greatest.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.machine import describe_machine
from benchmarks.speed.rounds import table

WAYS = {
    "fp32, eager": ("fp32", "off"),
    "fp32, compiled": ("fp32", "on"),
    "bf16, compiled": ("bf16", "on"),
}
_HERE = Path(__file__).parents[2]
# Where a tree has these modules, now and formerly.
_PLACES = (".", "benchmarks/speed", "benchmarks")
# Runs in either tree; a line of input is a pass, and its seconds a line of output.
_PASSES = """
import sys, time
import torch
from rounds import random_images
from training_step import gauntlet_training
images, precision, compile_ = int(sys.argv[1]), sys.argv[2], sys.argv[3]
torch.set_num_threads(1)
one_pass = gauntlet_training(*random_images(images), torch.device("cpu"), precision, compile_)
for _ in sys.stdin:
    started = time.process_time()
    one_pass()
    print(time.process_time() - started, flush=True)
"""


def main() -> None:
    """Race the trees in each way and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, required=True, help="the other tree")
    parser.add_argument("--images", type=int, default=640, help="images in a pass")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()

    found: dict[str, Any] = {
        "machine": describe_machine(),
        "before": _commit(options.before),
        "now": _commit(_HERE),
        "images": options.images,
        "rounds": options.rounds,
        "ways": {},
    }
    for way in options.ways:
        found["ways"][way] = _raced(options, WAYS[way])
        print(way, table(found["ways"][way]), sep="\n", flush=True)
        options.out.write_text(json.dumps(found, indent=1) + "\n")


def _raced(options: argparse.Namespace, way: Sequence[str]) -> dict[str, dict[str, Any]]:
    how = (str(options.images), *way)
    with _passes(options.before, how) as before, _passes(_HERE, how) as now:
        # Compiles.
        before(), now()
        # Whoever comes second finds the processor's caches as the other left them: they take turns at that, too.
        times = []
        for number in range(options.rounds):
            first, second = (before, now) if number % 2 else (now, before)
            pair = first(), second()
            times.append(pair if number % 2 else pair[::-1])
    told = {}
    for name, place in (("before", 0), ("now", 1)):
        ratios = [pair[0] / pair[place] for pair in times]
        told[name] = {
            "images_per_second": round(options.images / statistics.median(pair[place] for pair in times), 1),
            "ratio": round(statistics.median(ratios), 3),
            "ratio_range": [round(min(ratios), 3), round(max(ratios), 3)],
        }
    return told


@contextmanager
def _passes(tree: Path, how: Sequence[str]) -> Iterator[Callable[[], float]]:
    """What makes a pass in that tree, and says how many seconds it took."""
    with subprocess.Popen(  # noqa: S603  # Python and the code above
        [sys.executable, "-c", _PASSES, *how],
        cwd=tree,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(str(tree / place) for place in _PLACES)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        asked, told = process.stdin, process.stdout
        assert asked is not None
        assert told is not None

        def one() -> float:
            asked.write("\n")
            asked.flush()
            return float(told.readline())

        yield one
        asked.close()


def _commit(tree: Path) -> str:
    command = ["git", "-C", str(tree), "describe", "--always", "--dirty"]  # whichever git is there
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout.strip()  # noqa: S603  # git, with our own arguments


if __name__ == "__main__":
    main()

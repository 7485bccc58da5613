"""What a step of each of AutoAttack's parts costs the processor by our driver and by its package, by images at once.

    python -m benchmarks.speed.attack_steps --data-root DATA --weights STATE.safetensors --out OUT.json

A whole evaluation costs what the images cost that never fall: 101 passes of APGD-CE, 9 × 101 of APGD-T, 9 × 100 steps
of FAB-T and 5,000 queries of Square. Here each part takes a few of them, on natural images that are right, ours and the
package's in turn and several times, so that a busy machine can be measured on in minutes; the medians, times how many
there are, are the seconds of an image. Square's queries are taken from five places of its schedule. The images that
both made are compared bit by bit: FAB's differ in their last bits where the package's own network has another memory
layout than ours, and with equal layouts they do not (`tests/gauntlet/attacks/test_autoattack.py`).
"""

import argparse
import json
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

import pyautoattack
import torch
from safetensors.torch import load_file
from torch import Tensor

from benchmarks.correctness.protocols import in_plain_layers
from benchmarks.machine import describe_machine
from gauntlet.attacks import autoattack, square
from gauntlet.data.datasets import ImageSet, load_split
from gauntlet.models.architectures import build_model
from gauntlet.spec.evaluations.attacks import AutoAttack
from gauntlet.spec.kinds import ImageFolder
from gauntlet.spec.runs.architectures import Cnn

CPU = torch.device("cpu")
EPS = "8/255"
STEPS = 8
QUERIES = 16
# Of how many of Square's queries one is measured, by where it is measured.
_SCHEDULE = {300: 500, 700: 500, 1_500: 1_000, 3_000: 2_000, 4_500: 1_000}
# Steps of an image that never falls, by the part that stands for them: APGD-CE's passes are APGD-T's.
_STEPS = {"apgd-t": 10 * 101, "fab-t": 900}

_Perturb = Callable[[Tensor, Tensor], Tensor]


class _Brief(pyautoattack.AutoAttack):  # type: ignore[misc]  # it has no types
    """One target, few steps."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.fab.targeted, self.fab.n_restarts, self.square.n_queries = True, 1, QUERIES
        self.apgd_targeted.seed = self.fab.seed = self.square.seed = 0
        for attack in (self.apgd_targeted, self.fab):
            attack.n_iter = STEPS


def main() -> None:
    """Measure, and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--folder", default="cifar10")
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--at-once", type=int, nargs="+", default=[11, 25, 100])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()

    torch.set_num_threads(1)
    test, _ = load_split(ImageFolder(folder=options.folder), "test", options.data_root)
    found = [measure(options.weights, test.take(1_000), count, options.rounds) for count in options.at_once]
    result = {"machine": describe_machine(), "weights": options.weights.stem, "rounds": options.rounds, "found": found}
    options.out.write_text(json.dumps(result, indent=1) + "\n")


def measure(weights: Path, images: ImageSet, count: int, rounds: int) -> dict[str, Any]:
    """Seconds of a surviving image among so many, by part and side, and how many times ours the package takes."""
    model = build_model(Cnn(), (3, 32, 32), 10)
    model.load_state_dict(load_file(weights))
    model.eval().requires_grad_(requires_grad=False)
    package = _Brief(in_plain_layers(load_file(weights)), norm="Linf", eps=8 / 255, seed=0, device=CPU)
    with patch.object(autoattack, "AutoAttack", _Brief):
        # Of two classes one is a target.
        ours = autoattack.AuthoredAttack(model, AutoAttack(eps=Fraction(EPS)), 2, CPU)
    for attack in (package.apgd_targeted, package.fab):
        attack.n_target_classes = 1
    clean = images.images.float().div(255)
    right = (torch.cat([model(part) for part in clean.split(100)]).argmax(dim=1) == images.labels).nonzero().flatten()
    some = right[:count]
    given = clean[some].contiguous(), images.labels[some]

    def by_package(part: str) -> _Perturb:
        attack = {"apgd-t": package.apgd_targeted, "fab-t": package.fab, "square": package.square}[part]
        perturb: _Perturb = attack.perturb
        return perturb

    def by_us(part: str) -> _Perturb:
        return lambda points, labels: ours.perturb(part, points, labels, 0)

    seconds: dict[str, dict[str, float]] = {"package": {}, "gauntlet": {}}
    same: dict[str, bool] = {}
    for part, steps in _STEPS.items():
        taken = _in_turn(by_package(part), by_us(part), given, rounds)
        passes = STEPS + 1 if part == "apgd-t" else STEPS
        for side, spent in zip(seconds, taken[:2], strict=True):
            seconds[side][part] = spent * steps / passes / count
        same[part] = taken[2]
    place, choose = square._window, package.square.p_selection  # noqa: SLF001  # another place of the schedule
    for parts in seconds.values():
        parts["square"] = 0
    same["square"] = True
    for start, queries in _SCHEDULE.items():
        package.square.p_selection = lambda query, start=start: choose(query + start)
        with patch.object(square, "_window", lambda query, *more, start=start: place(query + start, *more)):
            taken = _in_turn(by_package("square"), by_us("square"), given, rounds)
        for side, spent in zip(seconds, taken[:2], strict=True):
            seconds[side]["square"] += spent * queries / QUERIES / count
        same["square"] &= taken[2]
    totals = {side: sum(parts.values()) for side, parts in seconds.items()}
    found = {
        "at_once": count,
        "seconds_per_image": {
            side: {part: round(s, 3) for part, s in parts.items()} for side, parts in seconds.items()
        },
        "same_bits": same,
        "times_as_fast": {part: round(s / seconds["gauntlet"][part], 2) for part, s in seconds["package"].items()}
        | {"all": round(totals["package"] / totals["gauntlet"], 2)},
    }
    print(json.dumps(found), flush=True)
    return found


def _in_turn(package: _Perturb, ours: _Perturb, given: tuple[Tensor, Tensor], rounds: int) -> tuple[float, float, bool]:
    """The medians of both sides' seconds of the processor, and whether they always made the same images."""
    seconds: tuple[list[float], list[float]] = ([], [])
    same = True
    for _ in range(rounds):
        made = []
        for perturb, spent in zip((package, ours), seconds, strict=True):
            started = time.thread_time()
            with torch.no_grad():
                made.append(perturb(*given))
            spent.append(time.thread_time() - started)
        same &= torch.equal(*made)
    return median(seconds[0]), median(seconds[1]), same


if __name__ == "__main__":
    main()

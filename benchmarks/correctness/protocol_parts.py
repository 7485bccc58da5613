"""Which images each part that a protocol could be made of leaves, of those that AutoAttack breaks.

    python -m benchmarks.correctness.protocol_parts leave --data-root DATA --weights A.safetensors … \
        --flags benchmarks/results/protocols_again.json --out OUT.json
    python -m benchmarks.correctness.protocol_parts time --package --data-root DATA --weights A.safetensors … \
        --made "screen 1" "9 x 5" --out OUT.json

What becomes of an image under a part depends neither on other images nor on other parts, so what an ensemble leaves is
what all of its parts leave. The first command attacks with each part whatever AutoAttack breaks, by the flags of an
earlier comparison (`benchmarks/correctness/protocols.py`), and lists what each part and each of `MADE` leaves: of one
without any of `TRIED_ON_ALL` at least that, as other parts are tried only on what these do not all break. The
second takes the processor's seconds of some of `MADE` on the first images of a network, all of them in turn, several
times; with `--package` also those of AutoAttack by its package's own loop, amid these rounds.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from statistics import median
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from benchmarks.correctness.protocols import by_package
from benchmarks.machine import describe_machine
from gauntlet import seeding
from gauntlet.attacks.passes import passes_of
from gauntlet.attacks.probability_margin import pma
from gauntlet.attacks.slices import sliced
from gauntlet.attacks.square import square_where_stuck
from gauntlet.attacks.targeted import minimum_margin
from gauntlet.data.datasets import ImageSet, load_split, to_unit
from gauntlet.models.architectures import build_model
from gauntlet.spec.evaluations.attacks import TargetLoss
from gauntlet.spec.kinds import ImageFolder
from gauntlet.spec.runs.architectures import Cnn

CPU = torch.device("cpu")
EPS = Fraction(8, 255)
SEED = 0
PMA = ("pma 10", "pma 14", "pma 16", "pma 20", "pma 26", "pma 30", "pma 40")
MM = (
    "mm 3x10 difference",
    "mm 9x5 difference",
    "mm 3x10 scaled",
    "mm 3x15 scaled",
    "mm 3x20 scaled",
    "mm 4x15 scaled",
    "mm 5x6 scaled",
    "mm 5x10 scaled",
    "mm 5x15 scaled",
    "mm 7x6 scaled",
    "mm 9x4 scaled",
    "mm 9x5 scaled",
    "mm 9x6 scaled",
    "mm 9x7 scaled",
    "mm 9x10 scaled",
)
SQUARE = ("square 10", "square 25", "square 50", "square 100", "square 300", "square 1000")
PARTS = (*PMA, *MM, *SQUARE)
TRIED_ON_ALL = ("pma 10", "mm 3x10 difference", "mm 3x10 scaled")
# `screen` in its first version, two that were proposed, and some of what was tried besides.
MADE: Mapping[str, tuple[str, ...]] = {
    "screen 1": ("pma 20", "mm 3x10 difference"),
    "proposed, 3 x 10": ("pma 20", "mm 3x10 scaled", "square 300"),
    "proposed, 3 x 20": ("pma 20", "mm 3x20 scaled"),
    "no MM": ("pma 20", "square 100"),
    "screen 1, Square": ("pma 20", "mm 3x10 difference", "square 100"),
    "9 x 5, difference": ("pma 20", "mm 9x5 difference", "square 100"),
    "5 x 15": ("pma 20", "mm 5x15 scaled", "square 100"),
    "9 x 4": ("pma 20", "mm 9x4 scaled", "square 100"),
    "9 x 5": ("pma 20", "mm 9x5 scaled", "square 100"),
    "9 x 7": ("pma 20", "mm 9x7 scaled", "square 100"),
    "9 x 10": ("pma 20", "mm 9x10 scaled", "square 100"),
}

Perturb = Callable[[Tensor, Tensor], Tensor]


def main() -> None:
    """Say what parts leave, or what ensembles take."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["leave", "time"])
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--folder", default="cifar10")
    parser.add_argument("--weights", type=Path, nargs="+", required=True)
    parser.add_argument("--flags", type=Path)
    parser.add_argument("--package", action="store_true", help="time AutoAttack by its package's loop, too")
    parser.add_argument("--made", nargs="+", choices=list(MADE), default=list(MADE), help="which ensembles to time")
    parser.add_argument("--images", type=int, default=100, help="on how many to time")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()

    torch.set_num_threads(1)
    test, _ = load_split(ImageFolder(folder=options.folder), "test", options.data_root)
    if options.what == "leave":
        flags = json.loads(options.flags.read_text())["hundreds"]
        found = {path.stem: left_by_parts(path, test, flags) for path in options.weights}
        made = {name: left_by_ensembles(each["left"]) for name, each in found.items()}
        written: dict[str, Any] = {"parts": found, "made": made, "sums": summed(made.values())}
    else:
        first = test.take(options.images)
        written = {
            "times": [
                time_all(path, first, options.made, options.rounds, package=options.package) for path in options.weights
            ]
        }
    about = {"machine": describe_machine(), "eps": "8/255"}
    options.out.write_text(json.dumps(about | written) + "\n")


def left_by_parts(path: Path, test: ImageSet, flags: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Of what AutoAttack breaks and the network is right about, which images each part leaves.

    All parts are tried on what any of `TRIED_ON_ALL` leaves: what each of these breaks no other is taken to leave.
    """
    model = _network(path)
    rows = [row for row in flags if row["weights"] == path.stem]
    robust = {row["start"] + each for row in rows for each in row["autoattack"]["robust"]}
    asked = [row["start"] + each for row in rows for each in range(row["images"])]
    broken = torch.tensor([each for each in asked if each not in robust], dtype=torch.int64)
    broken = broken[_right(model, to_unit(test.images[broken]), test.labels[broken])]
    left = {name: _standing(name, model, test, broken).tolist() for name in TRIED_ON_ALL}
    hard = torch.tensor(sorted(set().union(*left.values())), dtype=torch.int64)
    left |= {name: _standing(name, model, test, hard).tolist() for name in PARTS if name not in left}
    print(path.stem, len(broken), len(hard), {name: len(each) for name, each in left.items()}, flush=True)
    return {"images": len(asked), "right_and_broken": len(broken), "hard": len(hard), "left": left}


def left_by_ensembles(left: Mapping[str, Sequence[int]]) -> dict[str, list[int]]:
    """What all parts of each leave."""
    return {name: sorted(set.intersection(*(set(left[part]) for part in parts))) for name, parts in MADE.items()}


def summed(made: Iterable[Mapping[str, Sequence[int]]]) -> dict[str, int]:
    """How many images each leaves, over all networks."""
    each = list(made)
    return {name: sum(len(one[name]) for one in each) for name in MADE}


def time_all(path: Path, images: ImageSet, made: Sequence[str], rounds: int, *, package: bool) -> dict[str, Any]:
    """The processor's seconds of each ensemble for all of these images, in turn, and of the package amid the rounds."""
    model = _network(path)
    found: dict[str, Any] = {"weights": path.stem, "images": len(images), "left": {}, "seconds": {}}
    for number in range(rounds):
        if package and number == rounds // 2:
            found["package"] = by_package(path, images)
        for name in made:
            started = time.process_time()
            standing = _right(model, to_unit(images.images), images.labels).nonzero().flatten()
            for part in MADE[name]:
                standing = _standing(part, model, images, standing)
            found["seconds"].setdefault(name, []).append(round(time.process_time() - started, 2))
            found["left"][name] = standing.tolist()
        print(path.stem, found["seconds"], found.get("package"), flush=True)
    if package:
        found["package_takes_times"] = {
            name: round(found["package"]["seconds"] / median(each), 1) for name, each in found["seconds"].items()
        }
    return found


def perturb_of(name: str, model: nn.Module) -> Perturb:
    """The part as a protocol would run it, from the same random numbers (`gauntlet.evaluation.stages`)."""
    kind, size, *rest = name.split()
    generator = seeding.generator(CPU, SEED, kind)
    if kind == "square":
        queries = int(size)
        return lambda x, y: square_where_stuck(sliced(model, CPU), x, y, EPS, queries=queries, generator=generator)
    written_out = passes_of(model, CPU)
    if kind == "pma":
        steps = int(size)
        return lambda x, y: pma(written_out, x, y, EPS, norm="Linf", steps=steps, generator=generator)
    targets, steps = map(int, size.split("x"))
    loss: TargetLoss = "scaled" if rest == ["scaled"] else "difference"
    return lambda x, y: minimum_margin(
        written_out, x, y, EPS, norm="Linf", targets=targets, steps=steps, loss=loss, generator=generator
    )


def _standing(name: str, model: nn.Module, images: ImageSet, positions: Tensor) -> Tensor:
    """Which of the images at these positions, int64 [n], the part leaves."""
    # The passes are not defined for no image.
    if not len(positions):
        return positions
    pixels, labels = to_unit(images.images[positions]), images.labels[positions]
    return positions[_right(model, perturb_of(name, model)(pixels, labels), labels)]


def _right(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    if not len(images):
        return torch.zeros(0, dtype=torch.bool)
    with torch.no_grad():
        found: Tensor = passes_of(model, CPU)(images).argmax(dim=1) == labels
    return found


def _network(path: Path) -> nn.Module:
    model = build_model(Cnn(), (3, 32, 32), 10)
    model.load_state_dict(load_file(path))
    return model.eval().requires_grad_(requires_grad=False)


if __name__ == "__main__":
    main()

"""What it costs to hand freed memory back to the system after each layer, and what it saves to keep it.

    python -m benchmarks.speed.kept_memory --out benchmarks/results/kept_memory.json

Each kind of work is done in processes of its own, that keep what is freed (`gauntlet.models.memory.keep_freed_memory`)
and that leave it to glibc, in turn. Seconds are of the processor, the system's share of them included, which other work
on the machine lengthens less than the wall's; a ratio is the median of the turns'.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.machine import describe_machine
from benchmarks.speed.rounds import random_images
from gauntlet.data.datasets import Dataset, ImageSet
from gauntlet.evaluation.loop import evaluate
from gauntlet.events import EpochFinished
from gauntlet.models.architectures import build_model
from gauntlet.models.inference import prepared
from gauntlet.models.memory import keep_freed_memory
from gauntlet.spec.evaluations.evaluation import EvaluationSpec
from gauntlet.spec.experiment import RunSpec
from gauntlet.spec.runs.architectures import Cnn
from gauntlet.training.loop import train

_CPU = torch.device("cpu")
_CLASSES = tuple("0123456789")


def main() -> None:
    """Measure, and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--works", nargs="+", choices=WORKS, default=list(WORKS))
    parser.add_argument("--only", choices=WORKS, help=argparse.SUPPRESS)
    parser.add_argument("--keep", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.only:
        print(json.dumps(_measured(options.only, keep=options.keep)))
        return
    found = {work: _compared(work, options.rounds) for work in options.works}
    result = {"machine": describe_machine(), "threads": 1, "rounds": options.rounds, "works": found}
    if options.out is not None:
        options.out.write_text(json.dumps(result, indent=1) + "\n")


def _compared(work: str, rounds: int) -> dict[str, Any]:
    turns = [(_in_a_process(work, "--keep"), _in_a_process(work)) for _ in range(rounds)]
    sides = {"kept": [kept for kept, _ in turns], "handed back": [back for _, back in turns]}
    ratios = [back["seconds"] / kept["seconds"] for kept, back in turns]
    found = {
        "ratio": round(statistics.median(ratios), 3),
        "ratio_range": [round(min(ratios), 3), round(max(ratios), 3)],
        "medians": {name: _median(side) for name, side in sides.items()},
    }
    print(work, json.dumps(found), flush=True)
    return found


def _in_a_process(work: str, *flags: str) -> dict[str, float]:
    command = [sys.executable, "-m", __spec__.name, "--only", work, *flags]
    done = subprocess.run(command, check=True, capture_output=True)  # noqa: S603  # our own command
    told: dict[str, float] = json.loads(done.stdout)
    return told


def _median(side: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: round(statistics.median(turn[name] for turn in side), 3) for name in side[0]}


def _measured(work: str, *, keep: bool) -> dict[str, float]:
    """Seconds of the processor, of which the system's, page faults, and the most memory that was held, MB."""
    torch.set_num_threads(1)
    if keep and not keep_freed_memory():
        raise SystemExit("This system's C library does not let anybody choose.")
    doing = WORKS[work]()
    # What is set up or compiled before the first batches is not of interest.
    next(doing)
    before = resource.getrusage(resource.RUSAGE_SELF)
    for _ in doing:
        pass
    after = resource.getrusage(resource.RUSAGE_SELF)
    system = after.ru_stime - before.ru_stime
    return {
        "seconds": after.ru_utime - before.ru_utime + system,
        "system_seconds": system,
        "page_faults": after.ru_minflt - before.ru_minflt,
        "most_memory_mb": after.ru_maxrss / 1024,
    }


def _training(architecture: str, batch_size: int, images: int, compile_: str = "off") -> Iterator[int]:
    """FGSM training on noise of CIFAR-10's shape, with all that goes with an epoch; yields after the first of two."""
    spec = RunSpec.model_validate(
        {
            "dataset": {"name": "cifar10"},
            "architecture": {"kind": architecture},
            "objective": {"kind": "cross_entropy"},
            "adversary": {"kind": "fgsm", "eps": "8/255"},
            "training": {"epochs": 2, "batch_size": batch_size, "compile": compile_},
            "evaluation": {},
            "seed": 0,
        }
    )
    noise = ImageSet(*random_images(images))
    for event in train(spec, Dataset(noise, noise.take(batch_size), _CLASSES), device=_CPU):
        if isinstance(event, EpochFinished) and event.epoch == 1:
            yield event.epoch


def _attacking(images: int) -> Iterator[int]:
    spec = EvaluationSpec.model_validate(
        {"attacks": [{"kind": "pgd", "eps": "1/255"}], "samples": images, "batch_size": images}
    )
    model = build_model(Cnn(), (3, 32, 32), 10).eval().requires_grad_(requires_grad=False)
    pixels, _ = random_images(images)
    # What the network says is right, so that there is something to attack.
    labels = model(pixels.float() / 255).argmax(1)
    for turn in (1, 2):
        list(evaluate(model, ImageSet(pixels, labels), spec, 10, device=_CPU))
        yield turn


def _classifying(images: int) -> Iterator[int]:
    model = prepared(build_model(Cnn(), (3, 32, 32), 10).eval(), "fp32")
    pixels = random_images(images)[0].float() / 255
    with torch.inference_mode():
        for turn in (1, 2):
            for _ in range(50):
                model(pixels)
            yield turn


WORKS: Mapping[str, Callable[[], Iterator[int]]] = {
    "training the paper's CNN, batches of 32": lambda: _training("cnn", 32, 1_024),
    "training the paper's CNN, batches of 128": lambda: _training("cnn", 128, 1_024),
    "the same, compiled": lambda: _training("cnn", 128, 1_024, "on"),
    "training ResNet-18, batches of 64": lambda: _training("resnet18", 64, 128),
    "PGD on the paper's CNN, 100 images at once": lambda: _attacking(100),
    "classifying 64 pictures at once": lambda: _classifying(64),
}


if __name__ == "__main__":
    main()

"""The standard AutoAttack by our driver and by its package's own loop: the same images, seed and batches.

    python -m benchmarks.speed.autoattack --data-root DATA --out benchmarks/results/autoattack.json

Both attack the paper's network after some epochs of adversarial training on CIFAR-10 as a folder of images: ours as a
worker loads it, theirs in torch's own layers as people write it. They take turns, part by part, and flags are compared
image by image. With several files of weights each takes the next `--samples` images.
"""

import argparse
import json
import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from pyautoattack import AutoAttack
from torch import Tensor, nn

from benchmarks.machine import describe_machine
from benchmarks.speed.peers import plain_cnn
from gauntlet.data.datasets import Dataset, ImageSet, load_dataset
from gauntlet.evaluation.loop import evaluate
from gauntlet.events import CheckpointReady, EpochFinished
from gauntlet.models.architectures import build_model
from gauntlet.spec.evaluations.evaluation import EvaluationSpec
from gauntlet.spec.experiment import RunSpec
from gauntlet.spec.kinds import ImageFolder
from gauntlet.spec.runs.architectures import Cnn
from gauntlet.training.loop import train

CPU = torch.device("cpu")
EPS = "8/255"

# By side, part and clock.
Seconds = Mapping[str, Mapping[str, Mapping[str, float]]]


def main() -> None:
    """Train or load, attack both ways, compare, and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--folder", default="cifar10")
    parser.add_argument("--weights", type=Path, nargs="*", default=[], help="state dicts, instead of training")
    parser.add_argument("--epochs", type=int, default=4, help="of training, where there are no weights")
    parser.add_argument("--samples", type=int, default=100, help="images for each model, at most 1,000")
    parser.add_argument("--batch-size", type=int, default=100)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()

    torch.set_num_threads(options.threads)
    data = load_dataset(ImageFolder(folder=options.folder), options.data_root)
    models = {path.stem: torch.load(path) for path in options.weights}
    models = models or {f"epoch {options.epochs}": trained(options.folder, data, options.epochs)}
    found = []
    for number, (name, weights) in enumerate(models.items()):
        images = data.test.at(torch.arange(number * options.samples, (number + 1) * options.samples))
        found.append({"model": name} | compare(weights, images, options.batch_size))
        print(json.dumps(found[-1]), flush=True)
    result = {
        "machine": describe_machine(),
        "threads": options.threads,
        "samples": options.samples,
        "batch_size": options.batch_size,
        "models": found,
        "times_as_fast": times_as_fast([row["seconds"] for row in found]),
    }
    print(json.dumps(result["times_as_fast"], indent=1))
    options.out.write_text(json.dumps(result, indent=1) + "\n")


def trained(folder: str, data: Dataset, epochs: int) -> dict[str, Tensor]:
    """The paper's network after so many epochs of cross-entropy on FGSM examples."""
    spec = RunSpec.model_validate(
        {
            "dataset": {"name": "image_folder", "folder": folder},
            "architecture": {"kind": "cnn"},
            "objective": {"kind": "cross_entropy"},
            "adversary": {"kind": "fgsm", "eps": EPS},
            "training": {"epochs": epochs, "precision": "bf16", "checkpoint_every": epochs},
            "evaluation": {},
            "seed": 0,
        }
    )
    watched = Dataset(data.train, data.test.take(1_000), data.classes)
    weights: dict[str, Tensor] = {}
    for event in train(spec, watched, device=CPU):
        if isinstance(event, EpochFinished):
            print(event.epoch, event.metrics["test_accuracy"], event.metrics["test_fgsm_accuracy"])
        if isinstance(event, CheckpointReady):
            weights = event.state.model
    return weights


def compare(weights: Mapping[str, Tensor], images: ImageSet, batch_size: int) -> dict[str, Any]:
    """Attack both ways: how many images withstand, how many flags differ, and the seconds of each part."""
    turns = _Turns(weights, images, batch_size)
    model: nn.Module = plain_cnn().eval()
    model.load_state_dict(dict(zip(model.state_dict(), (w.contiguous() for w in weights.values()), strict=True)))
    package = AutoAttack(model, norm="Linf", eps=8 / 255, version="standard", seed=0, device=CPU)
    package.logger.setLevel(logging.DEBUG)
    package.logger.addHandler(turns)
    _, predicted = package.run_standard_evaluation(
        images.images.float().div(255).contiguous(), images.labels, batch_size=batch_size
    )
    package.logger.removeHandler(turns)
    return {
        "withstand": turns.withstand,
        "flags_that_differ": int((turns.robust != (predicted == images.labels)).sum()),
        "seconds": turns.seconds,
        "times_as_fast": times_as_fast([turns.seconds]),
    }


class _Turns(logging.Handler):
    """Hears from the package's log that one of its parts has ended, and has ours do the same part then.

    `seconds` are of the processor, which other work on the machine does not lengthen as it does those of the wall;
    `robust` is bool [n], `withstand` how many images each part left.
    """

    def __init__(self, weights: Mapping[str, Tensor], images: ImageSet, batch_size: int) -> None:
        super().__init__()
        model = build_model(Cnn(), (3, 32, 32), 10)
        model.load_state_dict(weights)
        spec = EvaluationSpec.model_validate(
            {"attacks": [{"kind": "autoattack", "eps": EPS}], "samples": len(images), "batch_size": batch_size}
        )
        self._batches = evaluate(model.requires_grad_(requires_grad=False), images, spec, 10, device=CPU)
        self._batch_size = batch_size
        self.robust = torch.ones(len(images), dtype=torch.bool)
        self.withstand: dict[str, int] = {}
        self.seconds: dict[str, dict[str, dict[str, float]]] = {"package": {}, "gauntlet": {}}
        self._since = _now()

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if message.startswith("initial accuracy"):
            self._turn("natural")
        elif message.startswith("robust accuracy after "):
            self._turn(message.removeprefix("robust accuracy after ").partition(":")[0].lower())

    def _turn(self, part: str) -> None:
        self.seconds["package"][part] = _spent(self._since)
        started = _now()
        for _ in range(-(-int(self.robust.sum()) // self._batch_size)):
            batch = next(self._batches)
            self.robust[list(batch.images)] = torch.tensor(batch.robust)
        self.seconds["gauntlet"][part] = _spent(started)
        self.withstand[part] = int(self.robust.sum())
        print(part, self.withstand[part], *(self.seconds[side][part]["cpu"] for side in self.seconds), flush=True)
        self._since = _now()


def _now() -> tuple[float, float]:
    return time.process_time(), time.perf_counter()


def _spent(since: tuple[float, float]) -> dict[str, float]:
    (cpu, wall), (cpu_before, wall_before) = _now(), since
    return {"cpu": round(cpu - cpu_before, 2), "wall": round(wall - wall_before, 2)}


def times_as_fast(runs: Sequence[Seconds]) -> dict[str, dict[str, float]]:
    """The package's seconds by ours over all runs, of each part and of all together, by either clock."""
    found = {}
    for part in (*runs[0]["package"], "all"):
        parts = list(runs[0]["package"]) if part == "all" else [part]
        found[part] = {
            clock: round(_sum(runs, "package", parts, clock) / _sum(runs, "gauntlet", parts, clock), 2)
            for clock in ("cpu", "wall")
        }
    return found


def _sum(runs: Sequence[Seconds], side: str, parts: Sequence[str], clock: str) -> float:
    return sum(run[side][part][clock] for run in runs for part in parts)


if __name__ == "__main__":
    main()

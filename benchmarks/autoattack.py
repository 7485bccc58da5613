"""The standard AutoAttack by our driver and by its package's own loop: the same images, seed and batches.

    python -m benchmarks.autoattack --data-root DATA --out benchmarks/results/autoattack.json

Both attack the paper's network after a few epochs of adversarial training on CIFAR-10 as a folder of images: ours as a
worker loads it, theirs in torch's own layers as people write it. Flags are compared image by image.
"""

import argparse
import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from pyautoattack import AutoAttack
from torch import Tensor, nn

from benchmarks.machine import describe_machine
from benchmarks.peers import plain_cnn
from gauntlet.architectures import build_model
from gauntlet.datasets import Dataset, ImageSet, load_dataset
from gauntlet.evaluation import evaluate
from gauntlet.evaluation_spec import EvaluationSpec
from gauntlet.events import CheckpointReady, EpochFinished
from gauntlet.kinds import Cnn, ImageFolder
from gauntlet.spec import RunSpec
from gauntlet.training import train

CPU = torch.device("cpu")
EPS = "8/255"


def main() -> None:
    """Train, attack both ways, compare, and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--folder", default="cifar10")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--samples", type=int, default=100)
    parser.add_argument("--batch-size", type=int, default=50)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()

    torch.set_num_threads(options.threads)
    data = load_dataset(ImageFolder(folder=options.folder), options.data_root)
    weights = trained(options.folder, data, options.epochs)
    images = data.test.take(options.samples)
    ours, our_seconds = by_gauntlet(weights, images, options.batch_size)
    theirs, their_seconds = by_the_package(weights, images, options.batch_size)
    found = {
        "machine": describe_machine(),
        "threads": options.threads,
        "epochs": options.epochs,
        "samples": options.samples,
        "batch_size": options.batch_size,
        "robust": int(ours.sum()),
        "flags_that_differ": int((ours != theirs).sum()),
        "seconds": {"gauntlet": our_seconds, "package": their_seconds},
        "times_as_fast": round(their_seconds["all"] / our_seconds["all"], 2),
    }
    print(json.dumps(found, indent=1))
    options.out.write_text(json.dumps(found, indent=1) + "\n")


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


def by_gauntlet(weights: dict[str, Tensor], images: ImageSet, batch_size: int) -> tuple[Tensor, dict[str, float]]:
    """Which images withstand our driver, bool [n] on the CPU, and the seconds of each part."""
    model = build_model(Cnn(), (3, 32, 32), 10)
    model.load_state_dict(weights)
    spec = EvaluationSpec.model_validate(
        {"attacks": [{"kind": "autoattack", "eps": EPS}], "samples": len(images), "batch_size": batch_size}
    )
    robust = torch.zeros(len(images), dtype=torch.bool)
    seconds: dict[str, float] = {}
    started = last = time.perf_counter()
    for batch in evaluate(model.eval().requires_grad_(requires_grad=False), images, spec, 10, device=CPU):
        robust[list(batch.images)] = torch.tensor(batch.robust)
        now = time.perf_counter()
        seconds[batch.stage] = seconds.get(batch.stage, 0) + now - last
        last = now
    return robust, _rounded(seconds | {"all": time.perf_counter() - started})


def by_the_package(weights: dict[str, Tensor], images: ImageSet, batch_size: int) -> tuple[Tensor, dict[str, float]]:
    """The same by `run_standard_evaluation` on a plain model."""
    model: nn.Module = plain_cnn().eval()
    model.load_state_dict(dict(zip(model.state_dict(), (w.contiguous() for w in weights.values()), strict=True)))
    package = AutoAttack(model, norm="Linf", eps=8 / 255, version="standard", seed=0, device=CPU)
    seconds = _Told()
    package.logger.setLevel(logging.DEBUG)
    package.logger.addHandler(seconds)
    started = time.perf_counter()
    _, predicted = package.run_standard_evaluation(
        images.images.float().div(255).contiguous(), images.labels, batch_size=batch_size
    )
    return predicted == images.labels, _rounded(dict(seconds.parts()) | {"all": time.perf_counter() - started})


class _Told(logging.Handler):
    """Takes from the package's log when each of its parts ended."""

    def __init__(self) -> None:
        super().__init__()
        self._ends: list[tuple[str, float]] = [("", time.perf_counter())]

    def emit(self, record: logging.LogRecord) -> None:
        before, _, rest = record.getMessage().partition("robust accuracy after ")
        if not before and rest:
            self._ends.append((rest.partition(":")[0].lower(), time.perf_counter()))

    def parts(self) -> Iterator[tuple[str, float]]:
        for (_, start), (part, end) in zip(self._ends, self._ends[1:], strict=False):
            yield part, end - start


def _rounded(seconds: dict[str, float]) -> dict[str, Any]:
    return {part: round(spent, 1) for part, spent in seconds.items()}


if __name__ == "__main__":
    main()

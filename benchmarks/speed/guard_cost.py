"""What the guard's probe takes of an epoch of the paper's network on CIFAR-10: probes and steps in turn, one thread.

    python -m benchmarks.speed.guard_cost --out benchmarks/results/guard_cost.json

Random pixels do: no time depends on them. Seconds are the processor's, so that others' work on a busy machine counts
less. A way's share is a probe's seconds over those of 50,000 trained images, the median over rounds; accuracies after
an epoch, which a probe comes on top of, are not counted.
"""

import argparse
import json
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from benchmarks.machine import describe_machine
from gauntlet.data.datasets import Dataset, ImageSet
from gauntlet.models.architectures import build_model, initialise
from gauntlet.spec.experiment import RunSpec
from gauntlet.training.epochs import Epochs
from gauntlet.training.guard import TrainingGuard
from gauntlet.training.measurement import build_probe
from gauntlet.training.updates import run

WAYS = {
    "fp32, eager": {"precision": "fp32", "compile": "off"},
    "fp32, compiled": {"precision": "fp32", "compile": "on"},
    "bf16, compiled": {"precision": "bf16", "compile": "on"},
}
_EPOCH, _BATCH = 50_000, 32
_SIGNS = {
    "test_accuracy": 0.0,
    "test_fgsm_accuracy": 1.0,
    "train_accuracy": 0.0,
    "train_adversarial_accuracy": 0.0,
    "fgsm_lowered_loss": 0.0,
}


def main() -> None:
    """Measure each way and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()

    torch.set_num_threads(1)
    found: dict[str, Any] = {"machine": describe_machine(), "rounds": options.rounds, "ways": {}}
    for name, way in WAYS.items():
        found["ways"][name] = _measured(way, options.rounds, options.steps)
        print(name, found["ways"][name], flush=True)
        options.out.write_text(json.dumps(found, indent=1) + "\n")


def _measured(way: dict[str, str], rounds: int, steps: int) -> dict[str, float]:
    spec = RunSpec.model_validate(
        {
            "dataset": {"name": "cifar10"},
            "architecture": {"kind": "cnn"},
            "objective": {"kind": "cross_entropy"},
            "adversary": {"kind": "fgsm", "eps": "8/255"},
            "training": {"batch_size": _BATCH, **way},
            "evaluation": {},
            "seed": 0,
        }
    )
    count = _BATCH * (rounds + 1) * steps
    images = torch.randint(256, (count, 3, 32, 32), dtype=torch.uint8)
    data = ImageSet(images, torch.randint(10, (count,)))
    model = build_model(spec.architecture, (3, 32, 32), 10)
    initialise(model, 0)
    epochs = Epochs(spec, Dataset(data, data.take(1), tuple("0123456789")), model)
    guard = TrainingGuard(spec, data, model, build_probe(model, spec.adversary.eps, spec.training.precision))
    batches = run(epochs.updates(1, 0))
    # The first round compiles.
    times = [_round(guard, batches, steps) for _ in range(rounds + 1)][1:]
    shares = [probe / (trained / (_BATCH * steps) * _EPOCH) for probe, trained in times]
    return {
        "probe_s": round(statistics.median(probe for probe, _ in times), 3),
        "images_per_s": round(_BATCH * steps / statistics.median(trained for _, trained in times), 1),
        "share": round(statistics.median(shares), 4),
        "least_share": round(min(shares), 4),
        "greatest_share": round(max(shares), 4),
    }


def _round(guard: TrainingGuard, batches: Iterator[int], steps: int) -> tuple[float, float]:
    """Seconds of a probe and of so many steps."""
    started = time.process_time()
    assert guard.probe(1, _SIGNS, lambda: None, alarmed=False)
    probed = time.process_time()
    for _ in range(steps):
        next(batches)
    return probed - started, time.process_time() - probed


if __name__ == "__main__":
    main()

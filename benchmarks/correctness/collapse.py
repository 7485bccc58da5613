"""FGSM learned by heart (catastrophic overfitting): when the guard catches it, and whether training recovers.

    python -m benchmarks.correctness.collapse --data-root DATA --folder cifar10 --out benchmarks/results/collapse.json
    python -m benchmarks.correctness.collapse … --actions n_fgsm --epochs 28 --out benchmarks/results/collapse.json

FGSM at 16/255 on few CIFAR-10 images provokes it: the paper's network without dropout, Adam, 3,000 images, the guard as
by default but for its action. Beside what the guard sees, every epoch's weights are attacked by PGD-10 on test images,
which it does not see. Results are written after every epoch; an action that is run takes its own place in the file.
"""

import argparse
import json
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch

from benchmarks.machine import describe_machine
from gauntlet.data.datasets import Dataset, ImageSet, load_dataset
from gauntlet.events import CheckpointReady, EpochFinished, Warned
from gauntlet.models.architectures import build_model
from gauntlet.models.checkpoints import load_weights
from gauntlet.results.suspicions import OVERFITTING
from gauntlet.spec.experiment import RunSpec
from gauntlet.spec.kinds import ImageFolder
from gauntlet.training.loop import train
from gauntlet.training.measurement import pgd_accuracy

EPS = Fraction(16, 255)
TOLD = (
    "train_accuracy",
    "train_adversarial_accuracy",
    "test_accuracy",
    "test_fgsm_accuracy",
    "fgsm_lowered_loss",
    "probe_accuracy",
    "probe_fgsm_accuracy",
)
_TEST_IMAGES = 500


def main() -> None:
    """Train under each action and write what was seen, epoch by epoch."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--folder", default="cifar10")
    parser.add_argument("--train-samples", type=int, default=3_000)
    parser.add_argument("--epochs", type=int, default=14)
    parser.add_argument("--actions", nargs="+", default=["warn"], help="several are trained one after the other")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()

    torch.set_num_threads(1)
    dataset = ImageFolder(folder=options.folder, train_samples=options.train_samples)
    data = load_dataset(dataset, options.data_root)
    data = Dataset(data.train, data.test.take(_TEST_IMAGES), data.classes)
    found: dict[str, Any] = json.loads(options.out.read_text()) if options.out.exists() else {"runs": {}}
    for action in options.actions:
        spec = _spec(dataset, action, options.epochs)
        run: dict[str, Any] = {"machine": describe_machine(), "spec": spec.model_dump(mode="json")}
        run |= {"alarms": [], "after_alarm": None, "epochs": []}
        found["runs"][action] = run
        for event in train(spec, data, device=torch.device("cpu")):
            if isinstance(event, EpochFinished):
                metrics = {name: round(event.metrics[name], 4) for name in TOLD if name in event.metrics}
                run["epochs"].append({"epoch": event.epoch} | metrics)
            elif isinstance(event, Warned) and event.kind == OVERFITTING:
                run["alarms"].append({"epoch": event.epoch, "message": event.message})
                print(action, event.epoch, event.message, flush=True)
            elif isinstance(event, CheckpointReady):
                run["epochs"][-1]["test_pgd10_accuracy"] = _pgd10(spec, event.state.model, data.test)
                run["after_alarm"] = after_alarm(run)
                print(action, run["epochs"][-1], flush=True)
                options.out.write_text(json.dumps(found, indent=1) + "\n")


def after_alarm(run: Mapping[str, Any]) -> dict[str, float] | None:
    """PGD-10 on test images: before the first alarm at best, in its epoch, and after it at best and at last."""
    if not run["alarms"]:
        return None
    alarmed = run["alarms"][0]["epoch"]
    of = {each["epoch"]: each["test_pgd10_accuracy"] for each in run["epochs"]}
    later = [value for epoch, value in of.items() if epoch > alarmed]
    told = {"best_before": max((value for epoch, value in of.items() if epoch < alarmed), default=0.0)}
    told |= {"in_its_epoch": of[alarmed]}
    return told | ({"best_after": max(later), "last": later[-1]} if later else {})


def _spec(dataset: ImageFolder, action: str, epochs: int) -> RunSpec:
    return RunSpec.model_validate(
        {
            "dataset": dataset.model_dump(),
            "architecture": {"kind": "cnn", "dropout": False},
            "objective": {"kind": "cross_entropy"},
            "adversary": {"kind": "fgsm", "eps": str(EPS), "mode": "train"},
            "training": {
                "epochs": epochs,
                "batch_size": 64,
                "optimizer": {"kind": "adam", "lr": 1e-3},
                "compile": "off",
                "guard": {"action": action},
            },
            "evaluation": {},
            "seed": 0,
        }
    )


def _pgd10(spec: RunSpec, weights: dict[str, torch.Tensor], images: ImageSet) -> float:
    model = build_model(spec.architecture, spec.dataset.image_shape, 10)
    load_weights(model, weights)
    return pgd_accuracy(model, images, EPS, norm="Linf", steps=10, seed=1)


if __name__ == "__main__":
    main()

"""Do bf16 and compiling change what is learned? Trains the same seeds in each way and compares on the whole test set.

    python -m benchmarks.correctness.equivalence --data-root DATA --folder cifar10 \
        --out benchmarks/results/equivalence.json

Cross-entropy on FGSM examples at 8/255, the paper's network and optimiser, 10,000 training images. Every model is
measured in fp32, whatever it was trained in. Results are written after every run.
"""

import argparse
import json
import statistics
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch

from benchmarks.machine import describe_machine
from gauntlet.data.datasets import Dataset, load_dataset
from gauntlet.events import CheckpointReady
from gauntlet.models.architectures import build_model
from gauntlet.results.intervals import wilson_interval
from gauntlet.spec.experiment import RunSpec
from gauntlet.spec.kinds import ImageFolder
from gauntlet.training.loop import train
from gauntlet.training.measurement import build_probe, measure

WAYS = {
    "fp32, eager": {"precision": "fp32", "compile": "off"},
    "fp32, compiled": {"precision": "fp32", "compile": "on"},
    "bf16, compiled": {"precision": "bf16", "compile": "on"},
}
COMPARISONS = [("fp32, compiled", "fp32, eager"), ("bf16, compiled", "fp32, compiled")]
EPS = Fraction(8, 255)
# Two-sided 95 % quantiles of Student's t by degrees of freedom.
_T_95 = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}
# The accuracies of every epoch are not what is compared here; a few images keep them cheap.
_WATCHED = 200


def main() -> None:
    """Train, measure, compare, and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--folder", default="cifar10")
    parser.add_argument("--train-samples", type=int, default=10_000)
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()

    torch.set_num_threads(options.threads)
    dataset = ImageFolder(folder=options.folder, train_samples=options.train_samples)
    data = load_dataset(dataset, options.data_root)
    found: dict[str, Any] = {
        "machine": describe_machine(),
        "threads": options.threads,
        "epochs": options.epochs,
        "train_images": len(data.train),
        "test_images": len(data.test),
        "runs": [],
    }
    for seed in options.seeds:
        for way, training in WAYS.items():
            spec = RunSpec.model_validate(
                {
                    "dataset": dataset,
                    "architecture": {"kind": "cnn"},
                    "objective": {"kind": "cross_entropy"},
                    "adversary": {"kind": "fgsm", "eps": EPS},
                    "training": training | {"epochs": options.epochs},
                    "evaluation": {},
                    "seed": seed,
                }
            )
            found["runs"].append({"way": way, "seed": seed} | train_and_measure(spec, data))
            found["comparisons"] = [compare(found["runs"], *pair) for pair in COMPARISONS]
            options.out.parent.mkdir(parents=True, exist_ok=True)
            options.out.write_text(json.dumps(found, indent=1) + "\n")
            print(found["runs"][-1], flush=True)
    print(json.dumps(found["comparisons"], indent=1))


def train_and_measure(spec: RunSpec, data: Dataset) -> dict[str, Any]:
    """Train to the end and measure natural and FGSM accuracy in fp32 on the whole test set."""
    watched = Dataset(data.train, data.test.take(_WATCHED), data.classes)
    for event in train(spec, watched, device=torch.device("cpu")):
        if isinstance(event, CheckpointReady):
            state = event.state
    model = build_model(spec.architecture, data.image_shape, len(data.classes))
    model.load_state_dict(state.model)
    test = measure(model, data.test, build_probe(model, EPS))
    return {
        "natural": _with_interval(test.accuracy, len(data.test)),
        "fgsm": _with_interval(test.fgsm_accuracy, len(data.test)),
    }


def _with_interval(accuracy: float, count: int) -> dict[str, Any]:
    low, high = wilson_interval(accuracy, count)
    return {"accuracy": accuracy, "wilson_95": [round(low, 4), round(high, 4)]}


def compare(runs: list[dict[str, Any]], way: str, base: str) -> dict[str, Any]:
    """The difference `way` − `base` of each accuracy, paired by seed: its mean and 95 % interval (Student's t)."""
    of = {(run["way"], run["seed"]): run for run in runs}
    seeds = sorted(seed for name, seed in of if name == way and (base, seed) in of)
    result: dict[str, Any] = {"way": way, "base": base, "seeds": seeds}
    for measured in ("natural", "fgsm"):
        differences = [of[way, s][measured]["accuracy"] - of[base, s][measured]["accuracy"] for s in seeds]
        if len(differences) > 1:
            half = _T_95[len(differences) - 1] * statistics.stdev(differences) / len(differences) ** 0.5
            mean = statistics.mean(differences)
            result[measured] = {"mean": round(mean, 4), "interval_95": [round(mean - half, 4), round(mean + half, 4)]}
    return result


if __name__ == "__main__":
    main()

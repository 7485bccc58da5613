"""Made-up reports: numbers as an experiment of the paper's kind might have them, through the library's own counting."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from gauntlet.report.curves import RunCurve
from gauntlet.report.report import Report, RunCost, assemble
from gauntlet.report.report_row import ReportRow, report_row
from gauntlet.results.corruptions import corruption_stage
from gauntlet.results.masking import MASKING_PREFIX, masking_attacks
from gauntlet.results.outcome import EvaluationOutcome, Measured, summarise
from gauntlet.results.smoothing import smoothing_stage
from gauntlet.spec.evaluations.attacks import attack_label
from gauntlet.spec.evaluations.ensembles import parts_of
from gauntlet.spec.evaluations.evaluation import EvaluationSpec
from gauntlet.spec.experiment import ExperimentSpec
from gauntlet.spec.presets import overlay

CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
DIGITS = tuple("0123456789")
_SPEC: dict[str, Any] = {
    "preset": "paper",
    "name": "reward against cross-entropy",
    "training": {"epochs": 12, "checkpoint_every": 2},
    "seeds": [0, 1, 2],
    "evaluation": {
        "attacks": [
            {"kind": "fgsm", "eps": ["8/255", "2/255", "4/255", "16/255"]},
            {"kind": "autoattack", "eps": "8/255"},
        ],
        "samples": 500,
        "select": ["best_fgsm"],
        "masking": None,
    },
}


@dataclass(frozen=True)
class Batch:
    """One batch of an evaluation, as a row of the database has it."""

    stage: str
    images: Sequence[int]
    labels: Sequence[int]
    predicted: Sequence[int]
    zero_gradient: Sequence[bool] | None = None
    margins: Sequence[Sequence[float | None]] | None = None


def judged(stage: str, robust: Sequence[bool], *, first: int = 0, classes: int = 10) -> Batch:
    """A batch of images from position `first` on, of which those are right; a wrong one is taken for the next class."""
    images = range(first, first + len(robust))
    labels = [image % classes for image in images]
    predicted = [label if right else (label + 1) % classes for label, right in zip(labels, robust, strict=True)]
    return Batch(stage, images, labels, predicted, [False] * len(robust) if stage == "natural" else None)


def metrics(train_accuracy: float, train_n: int, test_accuracy: float, **found: float) -> dict[str, float]:
    """An epoch's metrics of a sound model, as far as a report's row reads them."""
    sound = {"predicted_classes": 10.0, "mean_uniformity": 0.5, "mean_confidence": 0.6}
    accuracies = {"train_accuracy": train_accuracy, "train_accuracy_n": train_n, "test_accuracy": test_accuracy}
    return sound | accuracies | found


def measured(classes: Sequence[str] = DIGITS) -> Measured:
    return Measured(weights_sha256="ab" * 32, dataset="digits", dataset_sha256="cd" * 32, classes=tuple(classes))


def outcome(
    evaluation: EvaluationSpec, natural: float, dice: random.Random, classes: Sequence[str] = CIFAR10
) -> EvaluationOutcome:
    """An evaluation in which accuracy falls with ε from `natural`, and further under AutoAttack."""
    n = evaluation.samples
    luck = [dice.random() for _ in range(n)]

    def batch(stage: str, accuracy: float, n: int = n) -> Batch:
        robust = [one < accuracy for one in luck[:n]]
        labels = [image % len(classes) for image in range(n)]
        predicted = [
            label if right else dice.choice([other for other in range(len(classes)) if other != label])
            for label, right in zip(labels, robust, strict=True)
        ]
        return Batch(stage, range(n), labels, predicted, [False] * n if stage == "natural" else None)

    batches = [batch("natural", natural)]
    for attack in evaluation.attacks:
        survives = natural * (1 - float(attack.eps) * 12)
        if parts := [f"{attack_label(attack)}:{part}" for part in parts_of(attack)]:
            batches.append(batch(parts[0], survives - 0.06))
            batches.append(batch(parts[1], survives - 0.09))
            batches += [replace(batches[-1], stage=part) for part in parts[2:]]
        else:
            batches.append(batch(attack_label(attack), survives))
    if evaluation.masking is not None:
        batches += [
            batch(MASKING_PREFIX + attack_label(attack), natural * (1 - float(attack.eps)), evaluation.masking.samples)
            for attack in masking_attacks(evaluation)
        ]
    if evaluation.corruptions is not None:
        batches += [
            batch(corruption_stage("cifar10-c", kind, severity), natural - severity / 20)
            for kind in evaluation.corruptions.kinds
            for severity in evaluation.corruptions.severities
        ]
    if evaluation.smoothing is not None:
        batches += [
            batch(smoothing_stage(evaluation.smoothing, radius), natural - radius / 4)
            for radius in evaluation.smoothing.radii
        ]
    return summarise(evaluation, batches, measured(classes))


def made_up(changes: dict[str, Any] | None = None, **given: Any) -> Report:
    """A finished report of two objectives over 3 seeds; `changes` go over its spec, `given` replaces arguments."""
    spec = ExperimentSpec.model_validate(overlay(_SPEC, changes or {}))
    classes = given.pop("classes", CIFAR10)
    rows: list[ReportRow] = []
    curves: list[RunCurve] = []
    costs: list[RunCost] = []
    for number, (objective, run) in enumerate(spec.runs()):
        dice = random.Random(number)
        reward = objective != "cross_entropy"
        natural = (0.50 if reward else 0.53) + dice.gauss(0, 0.008)
        curve = _curve(f"run_{number}", objective, run.seed, natural, dice, gap=0.01 if reward else 0.03)
        curves.append(curve)
        costs.append(
            RunCost(
                run=curve.run,
                objective=objective,
                seed=run.seed,
                device="NVIDIA H100",
                training_seconds=600 + dice.random() * 80 + 60 * reward,
                evaluation_seconds=340 + dice.random() * 40,
            )
        )
        rows += [
            report_row(
                objective=objective,
                seed=run.seed,
                run=curve.run,
                checkpoint=f"ckpt_{number}",
                epoch=12,
                selection=selection,
                metrics=metrics(curve.train_accuracy[-1] or 0, 50_000, natural),
                outcome=outcome(spec.evaluation.of_one(), natural, dice, classes),
            )
            for selection in spec.evaluation.select
        ]
    arguments: dict[str, Any] = {
        "experiment": "exp_1",
        "name": spec.name,
        "status": "succeeded",
        "complete": True,
        "spec": spec,
        "rows": rows,
        "curves": curves,
        "costs": costs,
    }
    return assemble(**(arguments | given))


def _curve(run: str, objective: str, seed: int, natural: float, dice: random.Random, *, gap: float) -> RunCurve:
    epochs = tuple(range(1, 13))
    test = [natural * (1 - 0.6 * 0.7**epoch) + dice.gauss(0, 0.005) for epoch in epochs]
    return RunCurve(
        run=run,
        objective=objective,
        seed=seed,
        epochs=epochs,
        train_accuracy=tuple(value + gap * epoch / 12 for epoch, value in zip(epochs, test, strict=True)),
        test_accuracy=tuple(test),
        test_fgsm_accuracy=tuple(0.62 * value + dice.gauss(0, 0.004) for value in test),
        train_adversarial_accuracy=tuple(0.6 * value for value in test),
    )

"""What an experiment shows: derived from its evaluations, never edited. JSON is the truth, Markdown a rendering."""

import math
from collections.abc import Iterable, Sequence
from typing import Literal, Protocol

from pydantic import BaseModel, ConfigDict

from gauntlet.eps import format_eps
from gauntlet.kinds import AttackSpec, FgsmAttack, attack_label
from gauntlet.spec import EvaluationSpec, ExperimentSpec, Selection, SelectOn

_Z_95 = 1.959963984540054


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Accuracy(_Value):
    """A fraction in [0, 1] of `n` images, with its 95 % Wilson interval."""

    value: float
    n: int
    interval: tuple[float, float]

    @classmethod
    def of(cls, right: int, n: int) -> "Accuracy":
        return cls(value=right / n, n=n, interval=wilson_interval(right / n, n))


class AttackOutcome(_Value):
    """Accuracy under one attack. `survivors` counts the images that each part of an ensemble left correct."""

    attack: AttackSpec
    accuracy: Accuracy
    survivors: dict[str, int]


class EvaluationOutcome(_Value):
    """One checkpoint against a list of attacks, all on the same images."""

    natural: Accuracy
    attacks: tuple[AttackOutcome, ...]


class ReportRow(_Value):
    """One line of the paper's table. Accuracies are fractions: of `n` test images, `train_accuracy` of `train_n`.

    `generalisation_gap` is train_accuracy − natural_accuracy. `intervals` holds the 95 % Wilson interval of each
    accuracy. A column is None where the experiment did not ask for that attack.
    """

    objective: str
    seed: int
    run: str
    checkpoint: str
    epoch: int
    selection: Selection
    n: int
    train_n: int
    train_accuracy: float
    natural_accuracy: float
    fgsm_accuracy: float | None
    autoattack_accuracy: float | None
    generalisation_gap: float
    intervals: dict[str, tuple[float, float]]
    outcome: EvaluationOutcome


class Report(_Value):
    """An experiment's results so far; `complete` once nothing of it can change any more."""

    object: Literal["report"] = "report"
    version: Literal[1] = 1
    experiment: str
    name: str
    status: str
    complete: bool
    selected_on: SelectOn
    spec: ExperimentSpec
    rows: tuple[ReportRow, ...]
    warnings: tuple[str, ...]


def wilson_interval(fraction: float, n: int) -> tuple[float, float]:
    """The 95 % score interval of a proportion of n (Wilson 1927, JASA 22); it stays inside [0, 1]."""
    centre = fraction + _Z_95**2 / (2 * n)
    spread = _Z_95 * math.sqrt(fraction * (1 - fraction) / n + _Z_95**2 / (4 * n**2))
    scale = 1 + _Z_95**2 / n
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)


class StageBatch(Protocol):
    """One batch of one evaluation stage, as an event or as a row."""

    @property
    def stage(self) -> str: ...
    @property
    def robust(self) -> Sequence[bool]: ...


def summarise(attacks: Sequence[AttackSpec], batches: Iterable[StageBatch], n: int) -> EvaluationOutcome:
    """Count a finished evaluation's batches into accuracies of all `n` images.

    A part of AutoAttack that had no image left to attack has no batch and leaves none correct.
    """
    survivors: dict[str, int] = {}
    for batch in batches:
        survivors[batch.stage] = survivors.get(batch.stage, 0) + sum(batch.robust)
    outcomes = []
    for attack in attacks:
        label = attack_label(attack)
        parts = {
            stage.removeprefix(f"{label}:"): count
            for stage, count in survivors.items()
            if stage.startswith(f"{label}:")
        }
        right = survivors.get(label, 0) if isinstance(attack, FgsmAttack) else min(parts.values(), default=0)
        outcomes.append(AttackOutcome(attack=attack, accuracy=Accuracy.of(right, n), survivors=parts))
    return EvaluationOutcome(natural=Accuracy.of(survivors["natural"], n), attacks=tuple(outcomes))


def report_row(
    *,
    objective: str,
    seed: int,
    run: str,
    checkpoint: str,
    epoch: int,
    selection: Selection,
    train_accuracy: float,
    train_n: int,
    outcome: EvaluationOutcome,
) -> ReportRow:
    """Assemble a row; where an attack occurs at several budgets, its column shows the first that was asked for."""
    fgsm, autoattack = _first(outcome, "fgsm"), _first(outcome, "autoattack")
    measured = {"natural_accuracy": outcome.natural, "fgsm_accuracy": fgsm, "autoattack_accuracy": autoattack}
    intervals = {name: accuracy.interval for name, accuracy in measured.items() if accuracy is not None}
    return ReportRow(
        objective=objective,
        seed=seed,
        run=run,
        checkpoint=checkpoint,
        epoch=epoch,
        selection=selection,
        n=outcome.natural.n,
        train_n=train_n,
        train_accuracy=train_accuracy,
        natural_accuracy=outcome.natural.value,
        fgsm_accuracy=fgsm.value if fgsm else None,
        autoattack_accuracy=autoattack.value if autoattack else None,
        generalisation_gap=train_accuracy - outcome.natural.value,
        intervals=intervals | {"train_accuracy": wilson_interval(train_accuracy, train_n)},
        outcome=outcome,
    )


def _first(outcome: EvaluationOutcome, kind: str) -> Accuracy | None:
    return next((attacked.accuracy for attacked in outcome.attacks if attacked.attack.kind == kind), None)


_SELECTED: dict[SelectOn, str] = {
    "test": " The best checkpoint was selected on the test set, as in the paper.",
    "validation": " The best checkpoint was selected on the validation set, not on the test set as in the paper.",
}
_COLUMNS = {
    "train_accuracy": "train",
    "natural_accuracy": "natural",
    "fgsm_accuracy": "FGSM",
    "autoattack_accuracy": "AutoAttack",
}


def to_markdown(report: Report) -> str:
    """The report for a reader: the paper's table in per cent with 95 % intervals, and how it was measured."""
    header = ["objective", "seed", "checkpoint", *_COLUMNS.values(), "gap"]
    lines = [
        f"# {report.name}",
        "",
        _describe_training(report.spec),
        _describe_evaluation(report),
        "",
        "| " + " | ".join(header) + " |",
        "| --- | --- | --- |" + " ---: |" * (len(header) - 3),
    ]
    lines += ["| " + " | ".join(_cells(row)) + " |" for row in report.rows]
    if not report.complete:
        lines += ["", f"The experiment is {report.status}: rows may still be missing."]
    if report.warnings:
        lines += ["", *(f"- {warning}" for warning in report.warnings)]
    return "\n".join(lines) + "\n"


def _cells(row: ReportRow) -> list[str]:
    accuracies = [_per_cent(getattr(row, column), row.intervals.get(column)) for column in _COLUMNS]
    return [
        row.objective,
        str(row.seed),
        f"epoch {row.epoch} ({row.selection.replace('_', ' ')})",
        *accuracies,
        f"{100 * row.generalisation_gap:+.1f}",
    ]


def _per_cent(value: float | None, interval: tuple[float, float] | None) -> str:
    if value is None or interval is None:
        return "–"
    return f"{100 * value:.1f} [{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]"


def _describe_training(spec: ExperimentSpec) -> str:
    optimizer = spec.training.optimizer
    return (
        f"Data set {spec.dataset.name}, architecture {spec.architecture.kind}; FGSM adversarial training at "
        f"ε = {format_eps(spec.adversary.eps)}, {spec.training.epochs} epochs in batches of "
        f"{spec.training.batch_size}, {optimizer.kind} at {optimizer.lr:g}.{_describe_validation(spec.evaluation)}"
    )


def _describe_validation(evaluation: EvaluationSpec) -> str:
    if evaluation.select_on == "test":
        return ""
    return f" Held out for validation: {evaluation.validation_samples or 'a tenth'} of the training images."


def _describe_evaluation(report: Report) -> str:
    budgets = ", ".join(
        f"{'FGSM' if attack.kind == 'fgsm' else 'AutoAttack'} at ε = {format_eps(attack.eps)}"
        for attack in report.spec.evaluation.attacks
    )
    selected = _SELECTED[report.selected_on] if "best_fgsm" in report.spec.evaluation.select else ""
    images = f" on {report.rows[0].n} test images" if report.rows else ""
    return (
        f"Evaluated{images} under {budgets} (L∞). Accuracies in per cent with 95 % Wilson intervals; gap is train − "
        f"natural, in points.{selected}"
    )

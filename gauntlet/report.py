"""What an experiment shows: derived from its evaluations, never edited. JSON is the truth, Markdown a rendering."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from gauntlet.attack_specs import attack_title
from gauntlet.eps import format_eps
from gauntlet.evaluation_spec import ExperimentEvaluationSpec, Selection, SelectOn
from gauntlet.intervals import wilson_interval
from gauntlet.outcome import Accuracy, EvaluationOutcome
from gauntlet.spec import ExperimentSpec


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


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
_NORMS = {"Linf": "L∞", "L2": "L2"}
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


def _describe_validation(evaluation: ExperimentEvaluationSpec) -> str:
    if evaluation.select_on == "test":
        return ""
    return f" Held out for validation: {evaluation.validation_samples or 'a tenth'} of the training images."


def _describe_evaluation(report: Report) -> str:
    budgets = ", ".join(
        f"{attack_title(attack)} at ε = {format_eps(attack.eps)} ({_NORMS[attack.norm]})"
        for attack in report.spec.evaluation.attacks
    )
    selected = _SELECTED[report.selected_on] if "best_fgsm" in report.spec.evaluation.select else ""
    images = f" on {report.rows[0].n} test images" if report.rows else ""
    return (
        f"Evaluated{images} under {budgets}. Accuracies in per cent with 95 % Wilson intervals; gap is train − "
        f"natural, in points.{selected}"
    )

"""One line of the paper's table: a checkpoint's accuracies in training and in its evaluation."""

from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict

from gauntlet.report.columns import attacked_accuracies
from gauntlet.results.doubts import Doubt, doubts
from gauntlet.results.intervals import difference_interval, wilson_interval
from gauntlet.results.masking import MaskingResult
from gauntlet.results.outcome import EvaluationOutcome
from gauntlet.spec.evaluations.evaluation import ExperimentEvaluationSpec, Selected


class ReportRow(BaseModel):
    """One line of the paper's table. Accuracies are fractions of `n` test images, those that were attacked.

    But for `train_accuracy` and `test_accuracy`, which training measured after the epoch: natural accuracies of
    `train_n` training images and of the whole test set. `generalisation_gap` is their difference. `accuracies` are
    those under attack, by the keys of the report's columns. `intervals` holds the 95 % Wilson interval of each
    accuracy by its field or key, and Newcombe's of the gap. `masking` is the verdict, None where none was asked for,
    and `doubts` are all reasons not to take the numbers at their word. `outcome` has everything that was found.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    objective: str
    seed: int
    run: str
    checkpoint: str
    epoch: int
    selection: Selected
    n: int
    train_n: int
    train_accuracy: float
    test_accuracy: float | None = None  # an earlier service's report has none
    natural_accuracy: float
    accuracies: dict[str, float]
    generalisation_gap: float
    intervals: dict[str, tuple[float, float]]
    masking: MaskingResult | None
    doubts: tuple[Doubt, ...]
    outcome: EvaluationOutcome


def report_row(
    *,
    objective: str,
    seed: int,
    run: str,
    checkpoint: str,
    epoch: int,
    selection: Selected,
    metrics: Mapping[str, float],
    outcome: EvaluationOutcome,
) -> ReportRow:
    """Assemble a row from the metrics of the checkpoint's epoch, and its evaluation.

    Args:
        objective: as `ExperimentSpec.runs()` calls it.
        run: its name, and `checkpoint` that of the checkpoint; any text.
        epoch: which the checkpoint is of, from 1.
        selection: why it was evaluated, such as `last`.
        metrics: of that epoch, as `EpochFinished` has them; one of an earlier version does not say how many test images
            there are, of which training took as many of its own if it had them.
    """
    train, train_n, test = metrics["train_accuracy"], int(metrics["train_accuracy_n"]), metrics["test_accuracy"]
    attacked = attacked_accuracies(outcome)
    measured = {"natural_accuracy": outcome.natural} | attacked
    return ReportRow(
        objective=objective,
        seed=seed,
        run=run,
        checkpoint=checkpoint,
        epoch=epoch,
        selection=selection,
        n=outcome.natural.n,
        train_n=train_n,
        train_accuracy=train,
        test_accuracy=test,
        natural_accuracy=outcome.natural.value,
        accuracies={key: accuracy.value for key, accuracy in attacked.items()},
        generalisation_gap=train - test,
        intervals={key: accuracy.interval for key, accuracy in measured.items()}
        | {
            "train_accuracy": wilson_interval(train, train_n),
            "generalisation_gap": difference_interval(
                train, train_n, test, int(metrics.get("test_accuracy_n", train_n))
            ),
        },
        masking=outcome.masking.verdict if outcome.masking else None,
        doubts=doubts(outcome.findings, outcome.masking, metrics),
        outcome=outcome,
    )


def of_first_selection(rows: Sequence[ReportRow], evaluation: ExperimentEvaluationSpec) -> list[ReportRow]:
    """The rows of the first selection that is asked for and measured: one for each run, where one number is wanted."""
    measured = {row.selection for row in rows}
    first = next((selection for selection in evaluation.select if selection in measured), None)
    return [row for row in rows if row.selection == first]

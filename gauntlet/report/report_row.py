"""One line of the paper's table: a checkpoint's accuracies in training and in its evaluation."""

from pydantic import BaseModel, ConfigDict

from gauntlet.results.intervals import difference_interval, wilson_interval
from gauntlet.results.outcome import AttackOutcome, EvaluationOutcome
from gauntlet.spec.evaluation import Selection


class ReportRow(BaseModel):
    """One line of the paper's table. Accuracies are fractions of `n` test images, those that were attacked.

    But for `train_accuracy` and `test_accuracy`, which training measured after the epoch: natural accuracies of
    `train_n` training images and of the whole test set. `generalisation_gap` is their difference. `intervals` holds the
    95 % Wilson interval of each accuracy, and Newcombe's of the gap. `fgsm_accuracy` and `autoattack_accuracy` are
    under L∞ at the first budget that was asked for, None where the experiment did not ask for that attack; `outcome`
    has all attacks.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    objective: str
    seed: int
    run: str
    checkpoint: str
    epoch: int
    selection: Selection
    n: int
    train_n: int
    train_accuracy: float
    test_accuracy: float | None = None  # an earlier service's report has none
    natural_accuracy: float
    fgsm_accuracy: float | None
    autoattack_accuracy: float | None
    generalisation_gap: float
    intervals: dict[str, tuple[float, float]]
    outcome: EvaluationOutcome


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
    test_accuracy: float,
    outcome: EvaluationOutcome,
) -> ReportRow:
    """Assemble a row from what training measured of a checkpoint, and its evaluation."""
    fgsm, autoattack = headline(outcome, "fgsm"), headline(outcome, "autoattack")
    measured = {
        "natural_accuracy": outcome.natural,
        "fgsm_accuracy": fgsm.accuracy if fgsm else None,
        "autoattack_accuracy": autoattack.accuracy if autoattack else None,
    }
    intervals = {name: accuracy.interval for name, accuracy in measured.items() if accuracy is not None}
    intervals["train_accuracy"] = wilson_interval(train_accuracy, train_n)
    # Training takes as many images of its own as there are for test.
    intervals["generalisation_gap"] = difference_interval(train_accuracy, train_n, test_accuracy, train_n)
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
        test_accuracy=test_accuracy,
        natural_accuracy=outcome.natural.value,
        fgsm_accuracy=fgsm.accuracy.value if fgsm else None,
        autoattack_accuracy=autoattack.accuracy.value if autoattack else None,
        generalisation_gap=train_accuracy - test_accuracy,
        intervals=intervals,
        outcome=outcome,
    )


def headline(outcome: EvaluationOutcome, kind: str) -> AttackOutcome | None:
    """The attack that a row's column of that kind shows: under L∞, of several budgets the first asked for."""
    return next((found for found in outcome.attacks if found.attack.kind == kind and found.attack.norm == "Linf"), None)

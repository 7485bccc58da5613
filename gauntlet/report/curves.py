"""How a run's accuracies went, epoch by epoch."""

from pydantic import BaseModel, ConfigDict


class RunCurve(BaseModel):
    """A run's accuracies by epoch, fractions, one for each of `epochs`; None where an epoch lacks it.

    `test_fgsm_accuracy` is under FGSM at the budget of training, `train_adversarial_accuracy` of the very batches that
    were trained on, as they were seen. `probe_accuracy` is under PGD on a few training images, where they were probed,
    and `overfitting` the epochs in which that showed catastrophic overfitting.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: str
    objective: str
    seed: int
    epochs: tuple[int, ...]
    train_accuracy: tuple[float | None, ...]
    test_accuracy: tuple[float | None, ...]
    test_fgsm_accuracy: tuple[float | None, ...]
    train_adversarial_accuracy: tuple[float | None, ...]
    probe_accuracy: tuple[float | None, ...] = ()
    overfitting: tuple[int, ...] = ()


class EpochAccuracies(BaseModel):
    """The accuracies that were measured after one epoch, fractions; `generalisation_gap` is train − test."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epoch: int
    train_accuracy: float
    test_accuracy: float
    test_fgsm_accuracy: float
    generalisation_gap: float


def measured_epochs(curve: RunCurve) -> list[EpochAccuracies]:
    """The epochs that have all of train, test and FGSM accuracy, in order."""
    epochs = zip(curve.epochs, curve.train_accuracy, curve.test_accuracy, curve.test_fgsm_accuracy, strict=True)
    return [
        EpochAccuracies(
            epoch=epoch,
            train_accuracy=train,
            test_accuracy=test,
            test_fgsm_accuracy=fgsm,
            generalisation_gap=train - test,
        )
        for epoch, train, test, fgsm in epochs
        if train is not None and test is not None and fgsm is not None
    ]

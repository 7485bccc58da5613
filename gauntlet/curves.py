"""How a run's accuracies went, epoch by epoch."""

from pydantic import BaseModel, ConfigDict


class RunCurve(BaseModel):
    """A run's accuracies by epoch, fractions, one for each of `epochs`; None where an epoch lacks it.

    `test_fgsm_accuracy` is under FGSM at the budget of training, `train_adversarial_accuracy` of the very batches that
    were trained on, as they were seen.
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

"""How a run trains: its length, its batches and what makes them, its optimiser. No torch."""

from typing import Annotated, Literal

from pydantic import Field

from gauntlet.spec.kinds import Spec
from gauntlet.spec.reading.texts import CheckpointId
from gauntlet.spec.runs.augmentation import Augmentation
from gauntlet.spec.runs.guard import Guard
from gauntlet.spec.runs.optimizers import Constant, OptimizerSpec, RmsProp, ScheduleSpec
from gauntlet.spec.runs.regularizers import Averaging, Awp, GradAlign

Precision = Literal["fp32", "tf32", "bf16"]
# On a processor, of what only classifies.
InferencePrecision = Literal["fp32", "bf16"]


class TrainingSpec(Spec):
    """How long, in what batches, and on what mix of natural and adversarial images."""

    epochs: Annotated[int, Field(ge=1, le=10_000)] = 220
    batch_size: Annotated[int, Field(ge=1, le=65_536)] = 32
    optimizer: OptimizerSpec = RmsProp()
    schedule: ScheduleSpec = Constant()
    max_grad_norm: Annotated[float, Field(gt=0, le=1_000)] | None = Field(
        default=None,
        description="Gradients longer than this (L2, of all weights together) are shortened to it (Pascanu et al. "
        "2013); null: none is.",
    )
    augmentation: Augmentation | None = Field(
        default=None, description="How training images are changed anew in every epoch, before they are attacked."
    )
    grad_align: GradAlign | None = Field(
        default=None, description="A penalty on input gradients that turn within the adversary's ball; null: none."
    )
    awp: Awp | None = Field(
        default=None, description="Gradients are taken where the weights are worst nearby; null: at the weights."
    )
    averaging: Averaging | None = Field(
        default=None, description="An average of the weights beside them; null: there is none."
    )
    checkpoint_every: Annotated[int, Field(ge=1, le=10_000)] = 20
    mix: Literal["adversarial", "half", "both"] = Field(
        default="adversarial",
        description="Train on attacked images only, on batches attacked by half, or on both versions of each image.",
    )
    precision: Precision = Field(
        default="fp32",
        description="What training and its accuracies per epoch compute in; evaluations are always fp32. "
        "bf16 is faster where the processor has it, and measured to be equivalent on a CPU (docs/experiments.md); tf32 "
        "needs a GPU.",
    )
    compile: Literal["auto", "on", "off"] = Field(
        default="auto",
        description="Compile the training step: on a CPU with a C++ compiler, on a GPU as a CUDA graph. "
        "`auto` does so where the run is long enough to repay it and the compiler is there.",
    )
    guard: Guard = Field(default=Guard(), description="Watches for catastrophic overfitting to the adversary.")
    initial_checkpoint: CheckpointId | None = Field(
        default=None,
        description="Id of a checkpoint whose weights training starts from, instead of random ones; the optimiser's "
        "state starts fresh.",
    )

    def keeps(self, epoch: int) -> bool:
        """Whether the checkpoint after this epoch is kept."""
        return epoch % self.checkpoint_every == 0 or epoch == self.epochs

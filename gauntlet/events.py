"""What training and evaluation tell their caller: small frozen values, Python numbers only.

The exceptions are `StateReady` and `CheckpointReady`, whose states are tensors on the CPU that nothing else refers to,
and the pictures of a `BatchAttacked` that are to be kept.
"""

from dataclasses import dataclass, field

from torch import Tensor

from gauntlet.models.checkpoints import TrainingState, Versions
from gauntlet.results.finding import Finding
from gauntlet.results.margins import ImageMargin


@dataclass(frozen=True)
class Resumed:
    """Training continues after `epoch` and `batch` batches of the next.

    `bit_identical` says whether the rest will equal an uninterrupted run's: on a CPU, where torch and threads are as
    they were. On a GPU it is not promised.
    """

    epoch: int
    batch: int
    bit_identical: bool


@dataclass(frozen=True)
class BatchFinished:
    """One update is done: number `batch` of `batches` in `epoch`, all counted from 1.

    `measured` is how many batches of images are measured at the end of each epoch.
    """

    epoch: int
    batch: int
    batches: int
    measured: int


@dataclass(frozen=True)
class EpochFinished:
    """One epoch's measurements.

    `metrics` are functions of spec and data alone, on a CPU equal on every repetition; accuracies are fractions in
    [0, 1].
    `seconds` and `images_per_second` are of the training part, since the epoch's beginning or the last resume.
    """

    epoch: int
    metrics: dict[str, float]
    seconds: float
    images_per_second: float


@dataclass(frozen=True)
class Warned:
    """The model behaves in a way that makes its numbers suspect; told once per onset."""

    epoch: int
    kind: str
    message: str


@dataclass(frozen=True)
class EarlierWeights:
    """What was kept after `epoch`."""

    epoch: int
    kept: Versions


@dataclass(frozen=True)
class CheckpointReady:
    """The complete state after an epoch.

    `keep` marks the checkpoints that the spec asks for; the others only serve resuming. `instead` is kept in this one's
    place: the last good weights, where a guard ended training.
    """

    epoch: int
    keep: bool
    state: TrainingState
    instead: EarlierWeights | None = None


@dataclass(frozen=True)
class StateReady:
    """The complete state within an epoch, as the caller wanted it."""

    state: TrainingState


TrainingEvent = Resumed | BatchFinished | StateReady | EpochFinished | Warned | CheckpointReady


@dataclass(frozen=True)
class BatchAttacked:
    """One batch of one evaluation stage.

    `stage` is `natural`, an attack (`fgsm@8/255`) or a part of one (`autoattack@8/255:apgd-ce`). `images` are positions
    in the test set; `labels` and `predicted` are class indices. Of the natural stage only, `zero_gradient` says where
    cross-entropy's gradient is zero or no number at every pixel, and `margins` has an item for each image. `completed`
    of `total` model passes per the stages' nominal cost are done with this batch. `findings`, the same with every
    batch, are what looks wrong with the model. `attacked` are the attacked pictures of its first images that the spec
    keeps, float32 [k, c, h, w] on the CPU; None if it keeps none.
    """

    stage: str
    batch: int
    images: tuple[int, ...]
    labels: tuple[int, ...]
    predicted: tuple[int, ...]
    zero_gradient: tuple[bool, ...] | None
    completed: int
    total: int
    findings: tuple[Finding, ...] = ()
    margins: tuple[ImageMargin, ...] | None = None
    attacked: Tensor | None = field(default=None, compare=False, repr=False)

    @property
    def robust(self) -> tuple[bool, ...]:
        """Of each image whether it is still classified correctly."""
        return tuple(seen == label for seen, label in zip(self.predicted, self.labels, strict=True))

"""An evaluation's batches gathered by stage: what each image was taken for in it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol as Structure
from typing import runtime_checkable

from gauntlet.results.finding import Finding
from gauntlet.results.margins import ImageMargin

NATURAL = "natural"


class StageBatch(Structure):
    """One batch of one evaluation stage, as an event or as a row: positions in the test set, and what became of each.

    `zero_gradient` and `margins` are there for the natural stage only; of a row that an earlier version wrote there is
    no margin.
    """

    @property
    def stage(self) -> str: ...
    @property
    def images(self) -> Sequence[int]: ...
    @property
    def labels(self) -> Sequence[int]: ...
    @property
    def predicted(self) -> Sequence[int]: ...
    @property
    def zero_gradient(self) -> Sequence[bool] | None: ...
    @property
    def margins(self) -> Sequence[Sequence[float | None]] | None: ...


@runtime_checkable
class ModelLookedAt(Structure):
    """A batch as an evaluation yields it: it knows what looks wrong with the model, and a row does not."""

    @property
    def findings(self) -> Sequence[Finding]: ...


@dataclass
class StageResult:
    """Position in the test set → class index, and at how many images cross-entropy's gradient is zero or no number.

    `margins` holds those that were taken, in any order.
    """

    labels: dict[int, int]
    predicted: dict[int, int]
    zero_gradients: int = 0
    margins: list[ImageMargin] = field(default_factory=list)


def by_stage(batches: Iterable[StageBatch]) -> dict[str, StageResult]:
    """Gather batches, given in any order within a stage; the stages keep the order in which they first occur."""
    stages: dict[str, StageResult] = {}
    for batch in batches:
        stage = stages.setdefault(batch.stage, StageResult({}, {}))
        stage.labels.update(zip(batch.images, batch.labels, strict=True))
        stage.predicted.update(zip(batch.images, batch.predicted, strict=True))
        stage.zero_gradients += sum(batch.zero_gradient or ())
        stage.margins += [ImageMargin._make(margin) for margin in batch.margins or ()]
    return stages

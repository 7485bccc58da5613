"""A run's updates one after the other, each ready to be done before it is: by the run alone, or with those of others."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """All that a run's step with one batch depends on beside its weights.

    `images` uint8 [n, c, h, w], `labels` int64 [n], `noise` as a `Step` takes it, the learning `rate`, the `strength`
    of the adversary, and the `seed` of what is drawn in the step itself.
    """

    images: Tensor
    labels: Tensor
    noise: Tensor
    rate: float
    strength: float
    seed: int


@dataclass(frozen=True)
class Update:
    """The next update of a run, number `number` (from 1) of its epoch; `do` is the run's own way to do it.

    `batch` is what it learns from, where something else may do it instead.
    """

    number: int
    do: Callable[[], None]
    batch: Batch | None = None


def run(updates: Iterable[Update]) -> Iterator[int]:
    """Do them as the run alone does; yields the number of each once it is done."""
    for update in updates:
        update.do()
        yield update.number

"""A run's updates one after the other, each told of before it is done: by the run alone, or with those of others."""

from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gauntlet.events import TrainingEvent
from gauntlet.spec.experiment import RunSpec


@dataclass(frozen=True)
class Batch:
    """All that a run's step with one batch takes and changes.

    It changes `model`, `optimizer` and the tally `totals`. `images` are uint8 [n, c, h, w], `labels` int64 [n], `noise`
    as a `Step` takes it; `iteration` is how many updates there were before in the whole run and `left` how many there
    are from this one on, `rate` the learning rate, `momentum` the share of the optimiser's that it goes by, `strength`
    the share of the adversary's budget, and `seed` that of what is drawn in the step itself.
    """

    spec: RunSpec
    model: nn.Module
    optimizer: torch.optim.Optimizer
    totals: Tensor
    images: Tensor
    labels: Tensor
    noise: Tensor
    iteration: int
    left: int
    rate: float
    momentum: float
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


def doing(steps: Iterable[TrainingEvent | Update]) -> Generator[TrainingEvent, None, None]:
    """Do the updates among a run's steps as they come, and yield the others."""
    for step in steps:
        if isinstance(step, Update):
            step.do()
        else:
            yield step

"""Many runs in one generator: those that can be are computed as one program, the others beside them."""

from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence

import torch

from gauntlet.data.datasets import Dataset, MappedSet
from gauntlet.errors import TrainingDiverged
from gauntlet.events import TrainingEvent
from gauntlet.models.checkpoints import TrainingState
from gauntlet.spec.experiment import RunSpec
from gauntlet.training.fused.program import Program, kin
from gauntlet.training.loop import course
from gauntlet.training.updates import Batch, Update


def train_together(
    specs: Sequence[RunSpec],
    data: Dataset,
    *,
    device: torch.device,
    resume: Mapping[int, TrainingState] | None = None,
    wants_state: Callable[[int], bool] = lambda _: False,
    leaves: Callable[[int], bool] = lambda _: False,
) -> Iterator[tuple[int, TrainingEvent | TrainingDiverged]]:
    """Train runs on the same data, each from its beginning or from a captured state; yields (place in `specs`, event).

    A run's events are those that `gauntlet.training.loop.train` yields of it alone, its states are of the same form,
    and nothing of them depends on the others but the last bits of its arithmetic (so `Resumed` never calls such a run
    bit-identical). What it draws on a CPU is what it draws alone; on a GPU dropout draws other masks.

    Runs are computed as one where they are `kin` and as far as each other. The seconds of a run's epoch are those of
    all. A run that diverges has its error as its last event, and the others go on.

    Args:
        resume: by place, where a run goes on.
        wants_state: as `train` has it, of the run at that place.
        leaves: asked after every update whether the run at that place is to end here.

    Raises:
        GauntletError: a run cannot begin, as `train` says.
    """
    if not isinstance(data.train, MappedSet):
        data = Dataset(data.train.to(device), data.test, data.classes)
    kinds = Counter(kin(spec) for spec in specs)
    courses = {
        place: course(
            spec,
            data,
            device=device,
            resume=(resume or {}).get(place),
            wants_state=lambda place=place: wants_state(place),  # type: ignore[misc]  # mypy does not see through it
            fused=kin(spec) is not None and kinds[kin(spec)] > 1,
        )
        for place, spec in enumerate(specs)
    }
    programs = _Programs()
    while courses:
        due: dict[int, Update] = {}
        for place, steps in list(courses.items()):
            try:
                for step in steps:
                    if isinstance(step, Update):
                        due[place] = step
                        break
                    yield place, step
            except TrainingDiverged as error:
                yield place, error
            if place not in due or leaves(place):
                due.pop(place, None)
                del courses[place]
        programs.do(due)


class _Programs:
    """The programs that are there, by the places of their runs."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, ...], Program] = {}

    def do(self, due: Mapping[int, Update]) -> None:
        """All of these updates, as one program where that can be."""
        groups: dict[Hashable, dict[int, Batch]] = {}
        for place, update in due.items():
            key = None if update.batch is None else _key(update.batch)
            if update.batch is None or key is None:
                update.do()
            else:
                groups.setdefault(key, {})[place] = update.batch
        for batches in groups.values():
            if len(batches) == 1:
                (place,) = batches
                due[place].do()
            else:
                self._program(batches).do(list(batches.values()))

    def _program(self, batches: Mapping[int, Batch]) -> Program:
        places = tuple(batches)
        if places not in self._known:
            # Its runs' weights move, so programs that had one of them are no longer right.
            self._known = {known: program for known, program in self._known.items() if not set(known) & set(places)}
            self._known[places] = Program(list(batches.values()))
        return self._known[places]


def _key(batch: Batch) -> Hashable | None:
    """What runs share that are computed as one now; None where this one is computed alone."""
    shared = kin(batch.spec)
    return None if shared is None else (shared, batch.iteration, len(batch.images))

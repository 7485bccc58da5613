"""Many runs in one generator: those that can be are computed as one program, the others beside them."""

from collections import Counter
from collections.abc import Callable, Generator, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial

import torch
from torch import Tensor

from gauntlet.data.datasets import Dataset, MappedSet, TrainingImages, hold_out
from gauntlet.events import TrainingEvent
from gauntlet.models.checkpoints import TrainingState
from gauntlet.models.devices import found_device
from gauntlet.spec.experiment import RunSpec
from gauntlet.spec.runs.kinship import Kernels, kin
from gauntlet.training.fused.program import Program
from gauntlet.training.loop import course
from gauntlet.training.steps.cuda_graph import on_device
from gauntlet.training.updates import Batch, Update


@dataclass(frozen=True)
class Ended:
    """A run's last: it is trained, or `error` ended it."""

    error: Exception | None = None


def train_together(
    specs: Sequence[RunSpec],
    data: Dataset,
    *,
    device: torch.device | str,
    resume: Mapping[int, TrainingState] | None = None,
    initial_weights: Mapping[int, dict[str, Tensor]] | None = None,
    wants_state: Callable[[int], bool] = lambda _: False,
    watch: Callable[[int, Callable[[], TrainingState], int], None] = lambda _place, _capture, _done: None,
    leaves: Callable[[int], bool] = lambda _: False,
    hurries: Callable[[int], bool] = lambda _: False,
    kernels: Kernels = "auto",
) -> Iterator[tuple[int, TrainingEvent | Ended]]:
    """Train runs on the same data, each from its beginning or from a captured state; yields (place in `specs`, event).

    A run's events are those that `gauntlet.training.loop.train` yields of it alone, its states are of the same form,
    and nothing of them depends on the others but the last bits of its arithmetic (so `Resumed` never calls such a run
    bit-identical). What it draws on a CPU is what it draws alone; on a GPU dropout draws other masks.

    Runs are computed as one where they are `kin` and as far as each other. One that is ahead of its kin waits for them
    as long as they have less to catch up than it has left: beside them, each at its own time, it would end no sooner.
    The seconds of a run's epoch are those of all. An error of a run ends that run, and the others go on.

    Args:
        device: where all are computed.
        resume: by place, where a run goes on.
        initial_weights: by place, where a run begins; as `train` has it.
        wants_state: as `train` has it, of the run at that place.
        watch: as `train` has it, of the run at that place; what it raises ends that run.
        leaves: asked after every event and update whether the run at that place is to end here.
        hurries: whether the run at that place is not to wait for others, such as before a stop.
        kernels: whose compute what is computed as one: `auto` takes Triton's in bfloat16 and TF32 on a GPU from Ampere
            on, where they do what torch's do, and torch's elsewhere.

    Raises:
        GauntletError: what all compute together cannot be done on the device.
    """
    device = found_device(device)
    steps = _trained(
        specs,
        data,
        device,
        resume=resume or {},
        initial_weights=initial_weights or {},
        wants_state=wants_state,
        watch=watch,
        leaves=leaves,
        hurries=hurries,
        kernels=kernels,
    )
    return on_device(device, steps)


def _trained(
    specs: Sequence[RunSpec],
    data: Dataset,
    device: torch.device,
    *,
    resume: Mapping[int, TrainingState],
    initial_weights: Mapping[int, dict[str, Tensor]],
    wants_state: Callable[[int], bool],
    watch: Callable[[int, Callable[[], TrainingState], int], None],
    leaves: Callable[[int], bool],
    hurries: Callable[[int], bool],
    kernels: Kernels,
) -> Generator[tuple[int, TrainingEvent | Ended], None, None]:
    """As `train_together` says."""
    parts = cache(partial(_parts_on, device, data))
    kinds = [kin(spec) for spec in specs]
    several = {kind for kind, count in Counter(kinds).items() if kind is not None and count > 1}
    courses = {
        place: course(
            spec,
            data,
            device=device,
            resume=resume.get(place),
            initial_weights=initial_weights.get(place),
            wants_state=partial(wants_state, place),
            watch=partial(watch, place),
            parts=parts,
            fused=kinds[place] in several,
        )
        for place, spec in enumerate(specs)
    }
    due: dict[int, Update] = {}
    programs = _Programs(kinds, kernels)
    while courses:
        for place in list(courses):
            over = place in due and leaves(place)
            if place not in due:
                for step in _until_due(courses[place]):
                    if isinstance(step, Update):
                        due[place] = step
                    else:
                        yield place, step
                    over = isinstance(step, Ended) or leaves(place)
                    if over:
                        break
            if over:
                due.pop(place, None)
                del courses[place]
        now = programs.next_of(due, hurries)
        programs.do(now)
        for place in now:
            del due[place]


def _parts_on(device: torch.device, data: Dataset, held_out: int) -> tuple[Dataset, TrainingImages]:
    """What `hold_out` gives, on the device but for what is mapped."""
    rest, validation = hold_out(data, held_out)
    if isinstance(rest.train, MappedSet):
        return rest, validation
    return Dataset(rest.train.to(device), rest.test.to(device), rest.classes), validation.to(device)


def _until_due(steps: Iterator[TrainingEvent | Update]) -> Iterator[TrainingEvent | Update | Ended]:
    """What comes of a run up to its next update, or its end."""
    try:
        for step in steps:
            yield step
            if isinstance(step, Update):
                return
    except Exception as error:  # noqa: BLE001  # whatever it is, it is this run's alone, and its caller's to judge
        yield Ended(error)
    else:
        yield Ended()


class _Programs:
    """The programs that are there, by the places of their runs; `kinds` is what each place's run has kin by."""

    def __init__(self, kinds: Sequence[Hashable | None], kernels: Kernels = "auto") -> None:
        # Small numbers, as they are compared at every step; those without kin are kin of nobody.
        self._kinds = [kinds.index(kind) if kind is not None else -1 - place for place, kind in enumerate(kinds)]
        self._known: dict[tuple[int, ...], Program] = {}
        self._kernels = kernels
        # Of which kind Triton's kernels did not do what torch's do.
        self._failed: set[int] = set()
        # What the log has of why Triton's kernels do not compute them.
        self._told: set[str] = set()

    def next_of(self, due: Mapping[int, Update], hurries: Callable[[int], bool]) -> dict[int, Update]:
        """Those of the updates that are to be done now: of kin, all but of those that wait for others."""
        iterations: dict[int, int] = {}
        for place, update in due.items():
            if update.batch is not None:
                kind = self._kinds[place]
                iterations[kind] = min(update.batch.iteration, iterations.get(kind, update.batch.iteration))

        def waits(place: int, batch: Batch | None) -> bool:
            behind = 0 if batch is None else batch.iteration - iterations[self._kinds[place]]
            return batch is not None and 0 < behind <= batch.left and not hurries(place)

        return {place: update for place, update in due.items() if not waits(place, update.batch)}

    def do(self, due: Mapping[int, Update]) -> None:
        """All of these updates, as one program where that can be."""
        groups: dict[tuple[int, int, int], dict[int, Batch]] = {}
        for place, update in due.items():
            if update.batch is None:
                update.do()
            else:
                key = self._kinds[place], update.batch.iteration, len(update.batch.images)
                groups.setdefault(key, {})[place] = update.batch
        for batches in groups.values():
            if len(batches) == 1:
                (place,) = batches
                due[place].do()
            else:
                program = self._program(batches)
                program.do(list(batches.values()))
                if program.failed:
                    # What Triton's kernels do not do once need not be tried with every run that leaves.
                    self._failed.add(self._kinds[next(iter(batches))])

    def _program(self, batches: Mapping[int, Batch]) -> Program:
        places = tuple(batches)
        if places not in self._known:
            # Its runs' weights move, so programs that had one of them are no longer right.
            self._known = {known: program for known, program in self._known.items() if not set(known) & set(places)}
            kernels = "torch" if self._kinds[places[0]] in self._failed else self._kernels
            self._known[places] = Program(list(batches.values()), kernels, self._told)
        return self._known[places]

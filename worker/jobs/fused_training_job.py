"""Runs that are trained together: each remains a job of its own, with what it tells, is told, and leaves."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from gauntlet.events import TrainingEvent
from gauntlet.models.checkpoints import TrainingState
from gauntlet.training.fused.together import Ended, train_together
from store import logs
from store.database import Database
from store.queue.broker import create_celery, wake
from store.queue.jobs import Claim, JobProgress
from store.subjects.runs import Note
from worker.jobs.datasets import DataSets
from worker.jobs.endings import conclude
from worker.jobs.heartbeat import Heartbeat
from worker.jobs.job_log import JobLog
from worker.jobs.training_job import Begun, begin, complete, take
from worker.settings import WorkerSettings

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Member:
    """One of a process's jobs, with its pulse and its log."""

    held: Claim
    heartbeat: Heartbeat
    log: JobLog


def train_runs(database: Database, members: Sequence[Member], settings: WorkerSettings, device: torch.device) -> None:
    """Train the claimed runs together, each from where its last attempt left it, and write down how each ends.

    What ends one of them does not disturb the others.

    Raises:
        SystemExit: the database failed them.
    """
    group = _Group(database, settings, members)
    begun = group.begin(device)
    if begun:
        try:
            group.train(begun, device)
        except Exception as error:  # noqa: BLE001  # whatever it is, it is written down
            for member in group.present():
                with logs.about(member.held.id, member.held.token):
                    conclude(error, database, member.held, settings, shared=True)
                member.heartbeat.leave()


class _Group:
    def __init__(self, database: Database, settings: WorkerSettings, members: Sequence[Member]) -> None:
        self._database = database
        self._settings = settings
        self._members = members
        self._broker = create_celery(settings.broker_url)

    def present(self) -> list[Member]:
        """Those whose end is not written down."""
        return [member for member in self._members if not member.heartbeat.has_left]

    @contextmanager
    def _at_work(self, member: Member) -> Iterator[None]:
        """What happens inside is the member's: its lines of the log, and the error that ends it."""
        with logs.about(member.held.id, member.held.token):
            try:
                yield
            except Exception as error:  # noqa: BLE001  # whatever it is, it is written down
                conclude(error, self._database, member.held, self._settings)
                member.heartbeat.leave()

    def begin(self, device: torch.device) -> list[tuple[Member, Begun]]:
        """Those that can be trained, in their order."""
        reading = self._members[0]

        def watch(read: int, total: int) -> None:
            for member in self.present():
                member.heartbeat.tell(JobProgress("loading data", read, total, "pictures"))
            if all(member.heartbeat.must_stop for member in self.present()):
                reading.heartbeat.checkpoint()

        datasets, ready = DataSets(self._settings, watch), []
        count = len(self._members)
        note = Note(
            "fused",
            f"It is trained in one process with {count - 1} {'other' if count == 2 else 'others'} of its experiment, "  # noqa: PLR2004  # two are one and another
            "and computed with those that are as far: its numbers may differ in their last bits from those that it has "
            "alone, and its seconds are those of all.",
            data={"runs": [member.held.id for member in self._members]},
        )
        for number, reading in enumerate(self._members):
            with self._at_work(reading):
                # That the process starts, and reads data, is told of the first.
                if number:
                    reading.heartbeat.course.preparing()
                reading.heartbeat.checkpoint()
                held, heartbeat = reading.held, reading.heartbeat
                started = begin(self._database, held, self._settings, heartbeat, device, datasets, note)
                ready.append((reading, started))
        return ready

    def train(self, begun: Sequence[tuple[Member, Begun]], device: torch.device) -> None:
        """Train them until all have ended."""

        def left(place: int) -> bool:
            member, _ = begun[place]
            heartbeat = member.heartbeat
            # One that waits for others has no event at which it would hear of it.
            if heartbeat.must_stop and not heartbeat.must_save and not heartbeat.has_left:
                with self._at_work(member):
                    heartbeat.checkpoint()
            return heartbeat.has_left

        def watch(place: int, capture: Callable[[], TrainingState], done: int) -> None:
            begun[place][1].recorder.tell_of_measured(capture, done)

        runs = [run for _, run in begun]
        for member, _ in begun:
            member.heartbeat.course.starting()
        events = train_together(
            [run.spec for run in runs],
            runs[0].data,
            device=device,
            resume={place: run.state for place, run in enumerate(runs) if run.state is not None},
            initial_weights={place: run.initial for place, run in enumerate(runs) if run.initial is not None},
            wants_state=lambda place: runs[place].recorder.state_is_due(),
            watch=watch,
            leaves=left,
            hurries=lambda place: begun[place][0].heartbeat.must_save,
            kernels=self._settings.fused_kernels,
        )
        for place, event in events:
            member, run = begun[place]
            with self._at_work(member):
                if not self._goes_on(run, event):
                    member.heartbeat.leave()

    def _goes_on(self, run: Begun, event: TrainingEvent | Ended) -> bool:
        if not isinstance(event, Ended):
            return take(run.recorder, event)
        if event.error is not None:
            raise event.error
        wake(self._broker, len(complete(run.recorder)))
        return False

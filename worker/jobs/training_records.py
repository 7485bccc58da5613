"""What a run's training events leave: rows and files, an epoch's together."""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar, assert_never

from sqlalchemy.orm import Session

from gauntlet.data.datasets import Dataset
from gauntlet.events import BatchFinished, CheckpointReady, EpochFinished, Resumed, StateReady, TrainingEvent, Warned
from gauntlet.models.checkpoints import TrainingState, Versions, encode_training_state, encode_weights
from gauntlet.models.own_networks import package_of
from gauntlet.spec.checkpoint_card import CheckpointCard, Trained
from gauntlet.spec.experiment import RunSpec
from store import failpoints, files
from store.database import Database
from store.queue import jobs, sweeps
from store.queue.jobs import Claim, JobProgress
from store.storage import StoredFile
from store.subjects import runs
from store.subjects.runs import EpochRecord, KeptWeights, Note
from worker.jobs.heartbeat import Heartbeat
from worker.jobs.pace import Pace
from worker.settings import WorkerSettings

T = TypeVar("T")

logger = logging.getLogger(__name__)


@dataclass
class Recorder:
    """Gathers an epoch's events and writes them together; a state within an epoch is written at once."""

    database: Database
    held: Claim
    settings: WorkerSettings
    heartbeat: Heartbeat
    spec: RunSpec
    data: Dataset
    stopped_early: bool = False
    _finished: EpochFinished | None = None
    _notes: list[Note] = field(default_factory=list)
    _state_saved: float = field(default_factory=time.monotonic)
    _pace: Pace | None = None
    _last: BatchFinished | None = None

    def take(self, event: TrainingEvent) -> None:
        match event:
            case Resumed(epoch=epoch, batch=batch, bit_identical=bit_identical):
                if not bit_identical:
                    message = (
                        f"Resumed after {position(epoch, batch)} on a GPU, beside other runs, or under another torch, "
                        "device, thread count or compiling: it is not promised that the rest equals an uninterrupted "
                        "run bit by bit."
                    )
                    self.note(Note("resumed_elsewhere", message))
            case BatchFinished():
                self._last = event
                self._tell("training", event, event.batch)
                failpoints.reach("batch_trained")
            case StateReady(state=state):
                self._write_state(state)
            case EpochFinished():
                self._finished = event
            case Warned(epoch=epoch, kind=kind, message=message):
                self._notes.append(Note(kind, message, epoch, alarm=True))
            case CheckpointReady():
                self._write_epoch(event)
            case _:
                assert_never(event)

    def state_is_due(self) -> bool:
        """Whether the last state is as old as the settings let it become, or there will be no later one."""
        return self.heartbeat.must_save or time.monotonic() - self._state_saved >= self.settings.state_every_s

    def tell_of_measured(self, capture: Callable[[], TrainingState], done: int) -> None:
        """Note how many batches of the epoch's end are measured; raise `Stopped` if the job must stop.

        Before a shutdown or a pause the state is saved, and measured again later: the rest may take longer than the
        worker is given.
        """
        if self._last is not None:
            self._tell("measuring", self._last, self._last.batches + done)
        if self.heartbeat.must_save:
            self._write_state(capture())
        self.heartbeat.checkpoint()

    def note(self, note: Note) -> None:
        """Tell the run's owner."""
        self._store(lambda session: self._note(session, note))

    def _note(self, session: Session, note: Note) -> None:
        jobs.hold(session, self.held)
        runs.note(session, self.held, [note])

    def sweep(self) -> None:
        """Delete what earlier attempts left and no row names."""
        with self.database.reading() as session:
            recorded = runs.recorded_files(session, self.held.id)
        files.sweep(self.settings.storage, self.held, recorded)

    def _tell(self, phase: str, last: BatchFinished, within: int) -> None:
        """`within` is how many batches of its epoch are behind: those trained on, then those measured."""
        whole = last.batches + last.measured
        completed, total = (last.epoch - 1) * whole + within, self.spec.training.epochs * whole
        self._pace = self._pace or Pace(completed)
        self.heartbeat.tell(JobProgress(phase, completed, total, "batches", self._pace.eta_s(completed, total)))

    def _write_state(self, state: TrainingState) -> None:
        stored = self._state_file(f"epoch-{state.epoch + 1:05d}-batch-{state.batch:05d}", state)
        failpoints.reach("state_written")
        replaced = self._store(lambda session: runs.record_state(session, self.held, stored))
        failpoints.reach("state_recorded")
        self._delete(replaced)

    def _write_epoch(self, event: CheckpointReady) -> None:
        if self._finished is None:
            raise RuntimeError("A checkpoint came before its epoch's metrics.")
        name = f"epoch-{event.epoch:05d}"
        weights: list[KeptWeights] = []
        if event.keep:
            weights += self._weights_files(event.epoch, event.state.kept(self.spec.training.averaging))
        if event.instead is not None and not self.spec.training.keeps(event.instead.epoch):
            weights += self._weights_files(event.instead.epoch, event.instead.kept)
        state = self._state_file(name, event.state) if event.keep or self.state_is_due() else None
        failpoints.reach("files_written")
        record = EpochRecord(
            epoch=event.epoch,
            metrics=self._finished.metrics,
            seconds=self._finished.seconds,
            images_per_second=self._finished.images_per_second,
            notes=tuple(self._notes),
            state=state,
            weights=tuple(weights),
        )
        replaced = self._store(lambda session: self._record(session, record))
        self._log(record)
        self.heartbeat.course.done(event.epoch)
        failpoints.reach("epoch_recorded")
        self._delete(replaced)
        self._finished, self._notes = None, []

    def _record(self, session: Session, record: EpochRecord) -> str | None:
        """Store the epoch with what its sweep makes of it; returns the path of a state file that it replaces."""
        replaced = runs.record_epoch(session, self.held, record)
        self.stopped_early = not sweeps.goes_on(session, self.held, record.epoch, record.metrics)
        return replaced

    def _log(self, record: EpochRecord) -> None:
        for noted in record.notes:
            logger.warning("Epoch %d: %s", record.epoch, noted.message)
        logger.info(
            "Epoch %d of %d: test accuracy %.4f, under FGSM %.4f; %.0f images/s%s.",
            record.epoch,
            self.spec.training.epochs,
            record.metrics["test_accuracy"],
            record.metrics["test_fgsm_accuracy"],
            record.images_per_second,
            "; checkpoint kept" if record.weights else "",
        )

    def _state_file(self, name: str, state: TrainingState) -> StoredFile:
        stored = self._file(f"{name}.state", encode_training_state(state))
        self._state_saved = time.monotonic()
        return stored

    def _weights_files(self, epoch: int, kept: Versions) -> Iterator[KeptWeights]:
        for averaged, model in kept:
            card = CheckpointCard(
                architecture=self.spec.architecture,
                dataset=self.spec.dataset,
                classes=self.data.classes,
                image_shape=self.data.image_shape,
                normalisation=self.spec.normalisation,
                origin=Trained(spec=self.spec, epoch=epoch, averaged=averaged),
                package=package_of(self.spec.architecture),
            )
            name = f"epoch-{epoch:05d}{'-average' if averaged else ''}"
            yield KeptWeights(self._file(name, encode_weights(model, card)), card)

    def _file(self, name: str, content: bytes) -> StoredFile:
        with self.heartbeat.course.part("write files"):
            return self.settings.storage.write(f"{files.attempt_folder(self.held)}/{name}.safetensors", content)

    def _delete(self, path: str | None) -> None:
        if path is not None:
            self.settings.storage.delete(path)

    def _store(self, work: Callable[[Session], T]) -> T:
        with self.heartbeat.course.part("record rows"):
            return self.database.write(work, patience_s=self.settings.database_patience_s)


def position(epoch: int, batch: int) -> str:
    """How far training is, such as `epoch 2 and 120 batches`."""
    if batch == 0:
        return f"epoch {epoch}"
    return f"epoch {epoch} and {batch} {'batch' if batch == 1 else 'batches'}"

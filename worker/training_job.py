"""A run: the library's training events become rows and files."""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar, assert_never

import torch
from sqlalchemy.orm import Session

from gauntlet.checkpoints import (
    CheckpointCard,
    TrainingState,
    encode_training_state,
    encode_weights,
    load_training_state,
)
from gauntlet.datasets import Dataset, load_dataset
from gauntlet.evaluation import require_supported
from gauntlet.events import BatchFinished, CheckpointReady, EpochFinished, Resumed, TrainingEvent, Warned
from gauntlet.spec import RunSpec
from gauntlet.training import train
from store import files, runs
from store.database import Database
from store.files import StoredFile
from store.jobs import Claim, JobProgress
from store.runs import EpochRecord, Note
from worker import failpoints
from worker.heartbeat import Heartbeat
from worker.settings import WorkerSettings

T = TypeVar("T")


def train_run(
    database: Database, held: Claim, settings: WorkerSettings, heartbeat: Heartbeat, device: torch.device
) -> list[str]:
    """Train the claimed run from where the last attempt left it; returns the evaluations that now wait.

    Raises:
        Stopped: the job was told to stop.
        LeaseLost: another attempt has it.
        GauntletError: the data is missing, an attack does not apply to it, or training diverged.
        OSError: the storage cannot be read or written.
    """
    with database.reading() as session:
        run = runs.get(session, held.id)
    spec = RunSpec.model_validate(run.spec)
    heartbeat.tell(JobProgress("loading data", 0, 1, "data sets"))
    data = load_dataset(spec.dataset, settings.data_root)
    require_supported(spec.evaluation.attacks, len(data.classes))
    state = _resume_state(settings.storage, run.resume_path, run.resume_sha256)
    with database.writing() as session:
        runs.rewind(session, held, to_epoch=state.epoch if state else 0)
        runs.note(session, held, [_start_note(held, settings, device, state, had_state=run.resume_path is not None)])
    _sweep(database, held, settings)

    recorder = _Recorder(database, held, settings, heartbeat, spec, data)
    for event in train(spec, data, device=device, resume=state):
        recorder.take(event)
        heartbeat.checkpoint()
    waiting = database.write(lambda session: runs.complete(session, held), patience_s=settings.database_patience_s)
    _sweep(database, held, settings)
    return waiting


def _sweep(database: Database, held: Claim, settings: WorkerSettings) -> None:
    with database.reading() as session:
        recorded = runs.recorded_files(session, held.id)
    files.sweep(settings.storage, held, recorded)


@dataclass
class _Recorder:
    """Gathers an epoch's events and writes them together."""

    database: Database
    held: Claim
    settings: WorkerSettings
    heartbeat: Heartbeat
    spec: RunSpec
    data: Dataset
    _finished: EpochFinished | None = None
    _notes: list[Note] = field(default_factory=list)
    _state_saved: float = field(default_factory=time.monotonic)
    _pace: "_Pace | None" = None

    def take(self, event: TrainingEvent) -> None:
        match event:
            case Resumed(epoch=epoch, bit_identical=bit_identical):
                if not bit_identical:
                    message = (
                        f"Resumed after epoch {epoch} under another torch, device or thread count: "
                        "from here on not bit-identical to an uninterrupted run."
                    )
                    note = Note("resumed_elsewhere", message)
                    self._store(lambda session: runs.note(session, self.held, [note]))
            case BatchFinished():
                self._tell(event)
                failpoints.reach("batch")
            case EpochFinished():
                self._finished = event
            case Warned(epoch=epoch, kind=kind, message=message):
                self._notes.append(Note(kind, message, epoch))
            case CheckpointReady():
                self._write(event)
            case _:
                assert_never(event)

    def _tell(self, event: BatchFinished) -> None:
        completed = (event.epoch - 1) * event.batches + event.batch
        total = self.spec.training.epochs * event.batches
        if self._pace is None:
            self._pace = _Pace(completed)
        self.heartbeat.tell(JobProgress("training", completed, total, "batches", self._pace.eta_s(completed, total)))

    def _write(self, event: CheckpointReady) -> None:
        if self._finished is None:
            raise RuntimeError("A checkpoint came before its epoch's metrics.")
        storage, folder = self.settings.storage, files.attempt_folder(self.held)
        weights = self._weights(event, folder) if event.keep else None
        state: StoredFile | None = None
        if event.keep or time.monotonic() - self._state_saved >= self.settings.state_every_s:
            path = f"{folder}/epoch-{event.epoch:05d}.state.safetensors"
            state = files.write(storage, path, encode_training_state(event.state))
            self._state_saved = time.monotonic()
        failpoints.reach("files_written")
        record = EpochRecord(
            epoch=event.epoch,
            metrics=self._finished.metrics,
            seconds=self._finished.seconds,
            images_per_second=self._finished.images_per_second,
            notes=tuple(self._notes),
            state=state,
            weights=weights,
        )
        replaced = self._store(lambda session: runs.record_epoch(session, self.held, record))
        failpoints.reach("epoch_recorded")
        if replaced is not None:
            (storage / replaced).unlink(missing_ok=True)
        self._finished, self._notes = None, []

    def _weights(self, event: CheckpointReady, folder: str) -> StoredFile:
        card = CheckpointCard(
            spec=self.spec, epoch=event.epoch, classes=self.data.classes, image_shape=self.data.image_shape
        )
        content = encode_weights(event.state.model, card)
        return files.write(self.settings.storage, f"{folder}/epoch-{event.epoch:05d}.safetensors", content)

    def _store(self, work: Callable[[Session], T]) -> T:
        return self.database.write(work, patience_s=self.settings.database_patience_s)


class _Pace:
    """Remaining time at this attempt's own speed."""

    def __init__(self, completed: int) -> None:
        self._from = completed
        self._since = time.monotonic()

    def eta_s(self, completed: int, total: int) -> float | None:
        done = completed - self._from
        if done == 0:
            return None
        return (time.monotonic() - self._since) / done * (total - completed)


def _start_note(
    held: Claim, settings: WorkerSettings, device: torch.device, state: TrainingState | None, *, had_state: bool
) -> Note:
    where = f"Attempt {held.token} on {settings.worker_name} ({device})"
    if state is not None:
        return Note("resumed", f"{where} continues after epoch {state.epoch}.")
    if had_state:
        return Note("restarted", f"{where} starts over: the saved training state is damaged.")
    return Note("started", f"{where} starts.")


def _resume_state(storage: Path, path: str | None, sha256: str | None) -> TrainingState | None:
    """The last saved state, or None if there is none or its bytes are not those that were recorded.

    Raises:
        OSError: it cannot be read; a storage that is away must not be taken for a state that is lost.
    """
    if path is None:
        return None
    file = storage / path
    intact = hashlib.sha256(file.read_bytes()).hexdigest() == sha256
    return load_training_state(file) if intact else None

"""A run: the library's training events become rows and files."""

import hashlib
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar, assert_never

import torch
from sqlalchemy.orm import Session
from torch import Tensor

from gauntlet.checks.description import DatasetDescription
from gauntlet.checks.faults import refuse
from gauntlet.checks.machine import Machine, compiler_present
from gauntlet.checks.requests import Cards, experiment_faults, named_checkpoints, resume_faults
from gauntlet.data.datasets import Dataset, Watch, read_dataset
from gauntlet.data.survey import survey
from gauntlet.errors import CheckpointInvalid
from gauntlet.events import BatchFinished, CheckpointReady, EpochFinished, Resumed, StateReady, TrainingEvent, Warned
from gauntlet.models.checkpoints import (
    TrainingState,
    Versions,
    encode_training_state,
    encode_weights,
    load_initial_weights,
    load_training_state,
)
from gauntlet.models.own_networks import own_networks, package_of
from gauntlet.spec.architectures import Custom
from gauntlet.spec.checkpoint_card import CheckpointCard, Trained
from gauntlet.spec.experiment import RunSpec
from gauntlet.spec.objectives import AgentSpec
from gauntlet.training.compilation import compiles
from gauntlet.training.loop import train
from store import checkpoints, failpoints, files, jobs, runs, sweeps
from store.database import Database
from store.errors import NotFound
from store.files import StoredFile
from store.jobs import Claim, JobProgress
from store.runs import EpochRecord, KeptWeights, Note
from worker.devices import describe_device
from worker.heartbeat import Heartbeat
from worker.images import decoded_cache, root_of
from worker.own_networks import look_at
from worker.pace import Pace
from worker.settings import WorkerSettings

T = TypeVar("T")

logger = logging.getLogger(__name__)


def train_run(
    database: Database, held: Claim, settings: WorkerSettings, heartbeat: Heartbeat, device: torch.device
) -> list[str]:
    """Train the claimed run from where the last attempt left it; returns the evaluations that now wait.

    Raises:
        Stopped: the job was told to stop.
        LeaseLost: another attempt has it.
        GauntletError: the data or the initial checkpoint is missing or damaged, an attack does not apply, a compiler is
            missing, or training diverged.
        OSError: the storage cannot be read or written.
    """
    failpoints.reach("run_started")
    with database.reading() as session:
        run = runs.get(session, held.id)
        spec = RunSpec.model_validate(run.spec)
        cards = checkpoints.cards(session, named_checkpoints(spec))
    if run.resume_path is not None and spec.training.initial_checkpoint is not None:
        # All that training depends on is in its state.
        del cards[spec.training.initial_checkpoint]
    heartbeat.tell(JobProgress("loading data", 0, 1, "data sets"))
    data, described = _read_data(spec, settings, cards, device, heartbeat.tell_of_pictures)
    state = _resume_state(settings.storage, run.resume_path, run.resume_sha256)
    if state is not None and run.data is not None:
        refuse(resume_faults(DatasetDescription.model_validate(run.data), described))
    looked_at = look_at(spec, data)
    initial = _initial_weights(database, settings.storage, spec, data) if state is None else None
    with database.writing() as session:
        runs.rewind(session, held, to_epoch=state.epoch if state else 0)
        runs.record_data(session, held, described, resumed=state is not None)
        jobs.note_device(session, held, describe_device(device))
        where = f"Attempt {held.token} on {settings.worker_name} ({device})"
        start = _start_note(where, spec, state, had_state=run.resume_path is not None)
        runs.note(session, held, [start, *looked_at])
    logger.info("Run %s of %s, %s, seed %d. %s", held.id, run.experiment_id, run.objective, run.seed, start.message)
    _sweep(database, held, settings)

    # A compiled step takes half a minute to its first batch.
    slow = not isinstance(spec.objective, AgentSpec) and compiles(spec.training, data, device)
    heartbeat.tell(JobProgress("compiling" if slow else "starting", 0, 1, "batches"))
    recorder = _Recorder(database, held, settings, heartbeat, spec, data)
    events = train(
        spec,
        data,
        device=device,
        resume=state,
        initial_weights=initial,
        wants_state=recorder.state_is_due,
        watch=recorder.tell_of_measured,
    )
    for event in events:
        recorder.take(event)
        if recorder.stopped_early:
            _sweep(database, held, settings)
            return []
        # Before a shutdown or a pause the state is saved: until the next is due, a GPU does many epochs. That of an
        # epoch's last batch is, where the epoch is measured.
        if isinstance(event, StateReady | CheckpointReady) or not heartbeat.must_save:
            heartbeat.checkpoint()
    heartbeat.tell_at_once()
    waiting = database.write(lambda session: runs.complete(session, held), patience_s=settings.database_patience_s)
    if waiting:
        logger.info("Its evaluations are queued: %s.", ", ".join(waiting))
    _sweep(database, held, settings)
    return waiting


def _read_data(
    spec: RunSpec, settings: WorkerSettings, cards: Cards, device: torch.device, watch: Watch
) -> tuple[Dataset, DatasetDescription]:
    """The run's data, after a look at all that could keep it from being trained on, and another once it is read.

    Raises:
        GauntletError: with all that is wrong.
    """
    networks = frozenset(own_networks()) if isinstance(spec.architecture, Custom) else None
    machine = Machine(gpu=device.type == "cuda", compiler=compiler_present(), networks=networks)
    root = root_of(settings, spec.dataset)
    refuse(experiment_faults(spec, survey(spec.dataset, root), cards, machine))
    data, described = read_dataset(spec.dataset, root, watch, cache=decoded_cache(settings))
    refuse(experiment_faults(spec, described, cards, machine))
    return data, described


def _sweep(database: Database, held: Claim, settings: WorkerSettings) -> None:
    with database.reading() as session:
        recorded = runs.recorded_files(session, held.id)
    files.sweep(settings.storage, held, recorded)


@dataclass
class _Recorder:
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
                        f"Resumed after {_position(epoch, batch)} on a GPU, or under another torch, device, thread "
                        "count or compiling: it is not promised that the rest equals an uninterrupted run bit by bit."
                    )
                    note = Note("resumed_elsewhere", message)
                    self._store(lambda session: runs.note(session, self.held, [note]))
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
                origin=Trained(spec=self.spec, epoch=epoch, averaged=averaged),
                package=package_of(self.spec.architecture),
            )
            name = f"epoch-{epoch:05d}{'-average' if averaged else ''}"
            yield KeptWeights(self._file(name, encode_weights(model, card)), card)

    def _file(self, name: str, content: bytes) -> StoredFile:
        return files.write(self.settings.storage, f"{files.attempt_folder(self.held)}/{name}.safetensors", content)

    def _delete(self, path: str | None) -> None:
        if path is not None:
            (self.settings.storage / path).unlink(missing_ok=True)

    def _store(self, work: Callable[[Session], T]) -> T:
        return self.database.write(work, patience_s=self.settings.database_patience_s)


def _start_note(where: str, spec: RunSpec, state: TrainingState | None, *, had_state: bool) -> Note:
    if state is not None:
        after = {"epoch": state.epoch, "batch": state.batch}
        return Note("resumed", f"{where} continues after {_position(state.epoch, state.batch)}.", data=after)
    if had_state:
        return Note("restarted", f"{where} starts over: the saved training state is damaged.")
    if spec.training.initial_checkpoint is not None:
        return Note("started", f"{where} starts from the weights of {spec.training.initial_checkpoint}.")
    return Note("started", f"{where} starts.")


def _position(epoch: int, batch: int) -> str:
    """How far training is, such as `epoch 2 and 120 batches`."""
    if batch == 0:
        return f"epoch {epoch}"
    return f"epoch {epoch} and {batch} {'batch' if batch == 1 else 'batches'}"


def _initial_weights(database: Database, storage: Path, spec: RunSpec, data: Dataset) -> dict[str, Tensor] | None:
    """The weights that a run starts from, or None where they are drawn at random.

    Raises:
        CheckpointInvalid: the checkpoint is gone or damaged, or of another kind of model.
        OSError: its file cannot be read; a storage that is away must not be taken for a checkpoint that is lost.
    """
    if spec.training.initial_checkpoint is None:
        return None
    try:
        with database.reading() as session:
            checkpoint = checkpoints.get(session, spec.training.initial_checkpoint)
    except NotFound as error:
        raise CheckpointInvalid(str(error)) from error
    file = checkpoints.file_of(checkpoint, storage)
    if hashlib.sha256(file.read_bytes()).hexdigest() != checkpoint.sha256:
        raise CheckpointInvalid(f"The file of checkpoint {checkpoint.id} is damaged.")
    return load_initial_weights(file, spec.architecture, data.image_shape, len(data.classes))


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

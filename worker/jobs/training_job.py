"""A run: what it needs is read, and it is trained until it ends."""

import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from gauntlet.checks.description import DatasetDescription
from gauntlet.checks.faults import refuse
from gauntlet.checks.machine import Machine, compiler_present
from gauntlet.checks.requests import Cards, experiment_faults, named_checkpoints, resume_faults
from gauntlet.data.datasets import Dataset
from gauntlet.errors import CheckpointInvalid, StateOutdated
from gauntlet.events import CheckpointReady, StateReady, TrainingEvent
from gauntlet.models.checkpoints import (
    TrainingState,
    load_initial_weights,
    load_training_state,
)
from gauntlet.models.own_networks import own_networks
from gauntlet.spec.experiment import RunSpec
from gauntlet.spec.runs.architectures import Custom
from gauntlet.spec.runs.objectives import AgentSpec
from gauntlet.training.distributed import is_distributable, train_distributed
from gauntlet.training.loop import train
from gauntlet.training.steps.compilation import compiles
from store import failpoints, files
from store.database import Database
from store.errors import NotFound
from store.queue import jobs
from store.queue.jobs import Claim, JobProgress
from store.storage import FileDamaged, Storage
from store.subjects import checkpoints, runs
from store.subjects.runs import Note
from worker.jobs.datasets import DataSets, read_again
from worker.jobs.devices import describe_device, devices_of_a_run
from worker.jobs.heartbeat import Heartbeat
from worker.jobs.own_networks import look_at
from worker.jobs.training_records import Recorder, position
from worker.jobs.weights import weights_of
from worker.settings import WorkerSettings

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Begun:
    """A claimed run that its rows say goes on: what `train` takes of it, and who records its events."""

    spec: RunSpec
    data: Dataset
    state: TrainingState | None
    initial: dict[str, Tensor] | None
    recorder: Recorder


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
    begun = begin(database, held, settings, heartbeat, device, DataSets(settings, heartbeat.tell_of_pictures))
    start = _on_one(begun, device) if settings.devices_per_run == 1 else _on_several(begun, settings, device)
    events = start(
        resume=begun.state,
        initial_weights=begun.initial,
        wants_state=begun.recorder.state_is_due,
        watch=begun.recorder.tell_of_measured,
    )
    for event in events:
        if not take(begun.recorder, event):
            return []
    return complete(begun.recorder)


def _on_one(begun: Begun, device: torch.device) -> Callable[..., Iterator[TrainingEvent]]:
    return partial(train, begun.spec, begun.data, device=device)


def _on_several(begun: Begun, settings: WorkerSettings, device: torch.device) -> Callable[..., Iterator[TrainingEvent]]:
    """The run over as many devices as the settings want, or on one where it cannot be divided; it says which."""
    devices, recorder = devices_of_a_run(device, settings.devices_per_run), begun.recorder
    if not is_distributable(begun.spec, begun.data):
        told = f"Runs of this kind are trained on one device, not on {len(devices)}."
        recorder.note(Note("one_device", told))
        return _on_one(begun, device)
    names = ", ".join(str(each) for each in devices)
    told = (
        f"It is trained by {len(devices)} processes, on {names}: the last bits of its sums depend on how many they are."
    )
    recorder.note(Note("distributed", told))
    if device.type == "cpu":
        torch.set_num_threads(max(1, torch.get_num_threads() // len(devices)))
    read = partial(read_again, settings, begun.spec.dataset)
    return partial(train_distributed, begun.spec, begun.data, read=read, devices=devices, lost=_end_as_lost)


def _end_as_lost() -> None:
    # On GPUs the others' part would be waited for; another attempt begins with all of them.
    logger.error("A process of this run's died, so this one ends.")
    os._exit(1)


def begin(
    database: Database,
    held: Claim,
    settings: WorkerSettings,
    heartbeat: Heartbeat,
    device: torch.device,
    datasets: DataSets,
    *notes: Note,
) -> Begun:
    """Read what the run needs and write down that it goes on; `notes` come after what is noted of it in any case.

    Raises:
        Exception: as `train_run`, but for what comes of training itself.
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
    data, described = _read_data(spec, cards, device, datasets)
    state, unusable = _resume_state(settings.storage, run.resume_path, run.resume_sha256)
    if state is not None and run.data is not None:
        refuse(resume_faults(DatasetDescription.model_validate(run.data), described))
    looked_at = look_at(spec, data)
    initial = _initial_weights(database, settings.storage, spec, data) if state is None else None
    with database.writing() as session:
        runs.rewind(session, held, to_epoch=state.epoch if state else 0)
        runs.record_data(session, held, described, resumed=state is not None)
        jobs.note_device(session, held, describe_device(device))
        where = f"Attempt {held.token} on {settings.worker_name} ({device})"
        start = _start_note(where, spec, state, unusable)
        runs.note(session, held, [start, *looked_at, *notes])
    logger.info("Run %s of %s, %s, seed %d. %s", held.id, run.experiment_id, run.objective, run.seed, start.message)
    recorder = Recorder(database, held, settings, heartbeat, spec, data)
    recorder.sweep()

    heartbeat.course.prepared()

    # A compiled step takes half a minute to its first batch.
    slow = not isinstance(spec.objective, AgentSpec) and compiles(spec.training, data, device)
    heartbeat.tell(JobProgress("compiling" if slow else "starting", 0, 1, "batches"))
    return Begun(spec, data, state, initial, recorder)


def take(recorder: Recorder, event: TrainingEvent) -> bool:
    """Record the event; False where the run's sweep ends it here.

    Raises:
        Stopped: the job was told to stop, and what is worth saving is saved.
        LeaseLost: another attempt has it.
        OSError: the storage cannot be written.
    """
    recorder.take(event)
    if recorder.stopped_early:
        recorder.sweep()
        return False
    # Before a shutdown or a pause the state is saved: until the next is due, a GPU does many epochs. That of an
    # epoch's last batch is, where the epoch is measured.
    if isinstance(event, StateReady | CheckpointReady) or not recorder.heartbeat.must_save:
        recorder.heartbeat.checkpoint()
    return True


def complete(recorder: Recorder) -> list[str]:
    """Write down that the run is trained; returns the evaluations that now wait.

    Raises:
        LeaseLost: another attempt has it.
    """
    recorder.heartbeat.tell_at_once()
    patience_s = recorder.settings.database_patience_s
    with recorder.heartbeat.course.part("record rows"):
        waiting = recorder.database.write(lambda session: runs.complete(session, recorder.held), patience_s=patience_s)
    if waiting:
        logger.info("Its evaluations are queued: %s.", ", ".join(waiting))
    recorder.sweep()
    return waiting


def _read_data(
    spec: RunSpec, cards: Cards, device: torch.device, datasets: DataSets
) -> tuple[Dataset, DatasetDescription]:
    """The run's data, after a look at all that could keep it from being trained on, and another once it is read.

    Raises:
        GauntletError: with all that is wrong.
    """
    networks = frozenset(own_networks()) if isinstance(spec.architecture, Custom) else None
    machine = Machine(gpu=device.type == "cuda", compiler=compiler_present(), networks=networks)
    refuse(experiment_faults(spec, datasets.survey(spec.dataset), cards, machine))
    data, described = datasets.read(spec.dataset)
    refuse(experiment_faults(spec, described, cards, machine))
    return data, described


def _start_note(where: str, spec: RunSpec, state: TrainingState | None, unusable: str | None) -> Note:
    if state is not None:
        after = {"epoch": state.epoch, "batch": state.batch}
        return Note("resumed", f"{where} continues after {position(state.epoch, state.batch)}.", data=after)
    if unusable is not None:
        return Note("restarted", f"{where} starts over: the saved training state is {unusable}.")
    if spec.training.initial_checkpoint is not None:
        return Note("started", f"{where} starts from the weights of {spec.training.initial_checkpoint}.")
    return Note("started", f"{where} starts.")


def _initial_weights(database: Database, storage: Storage, spec: RunSpec, data: Dataset) -> dict[str, Tensor] | None:
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
    return load_initial_weights(
        weights_of(checkpoint, storage), spec.architecture, data.image_shape, len(data.classes), spec.normalisation
    )


def _resume_state(storage: Storage, path: str | None, sha256: str | None) -> tuple[TrainingState | None, str | None]:
    """The last saved state, if there is one that can be gone on from, and what is wrong with one that cannot.

    Raises:
        CheckpointInvalid: it is whole, and yet cannot be read here: of a later version, or the storage went away. It
            stays for a retry.
        OSError: it cannot be read; a storage that is away must not be taken for a state that is lost.
    """
    if path is None or sha256 is None:
        return None, None
    try:
        return load_training_state(files.checked(storage, path, sha256)), None
    except FileDamaged:
        return None, "damaged"
    except StateOutdated:
        # Every attempt would fail of it, a retry's, too.
        return None, "of an earlier version of Gauntlet, and this one cannot go on from it"

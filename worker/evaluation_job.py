"""An evaluation: one checkpoint under attack, each finished batch a row."""

import hashlib
import time
from collections.abc import Mapping, Sequence
from functools import partial

import torch
from torch import nn

from gauntlet.data.datasets import digest, load_split
from gauntlet.errors import CheckpointInvalid
from gauntlet.evaluation.loop import evaluate
from gauntlet.events import BatchAttacked
from gauntlet.models.checkpoints import LoadedModel, load_model
from gauntlet.results.protocol import IMPLEMENTATIONS
from gauntlet.spec.evaluation import other_models
from store import batches, checkpoints, evaluations, failpoints, jobs
from store.database import Database
from store.errors import NotFound
from store.evaluations import AttackedSet
from store.jobs import Claim, JobProgress
from store.models import Checkpoint, EvaluationBatch
from worker.devices import describe_device
from worker.heartbeat import Heartbeat
from worker.settings import WorkerSettings


def evaluate_checkpoint(
    database: Database, held: Claim, settings: WorkerSettings, heartbeat: Heartbeat, device: torch.device
) -> None:
    """Attack the claimed evaluation's checkpoint, continuing after the batches that an earlier attempt finished.

    What other evaluations found of the same weights by the same protocol is taken over.

    Raises:
        Stopped: the job was told to stop.
        LeaseLost: another attempt has it.
        GauntletError: the data is missing, the checkpoint is damaged, or an attack does not apply.
        OSError: the storage cannot be read.
    """
    with database.reading() as session:
        evaluation = evaluations.get(session, held.id)
        checkpoint = checkpoints.get(session, evaluation.checkpoint_id)
    spec = evaluations.specified(evaluation)
    heartbeat.tell(JobProgress("loading data", 0, 1, "data sets"))
    loaded = _load(checkpoint, settings, device)
    sources = _sources(database, other_models(spec), loaded, settings, device)
    test, classes = load_split(loaded.card.dataset, "test", settings.data_root)
    _require_classes(loaded.card.classes, classes)

    attacked = AttackedSet(digest(test, classes), min(len(test), spec.samples))
    with database.writing() as session:
        jobs.note_device(session, held, describe_device(device))
        # A seed gives other random numbers on a GPU than on a CPU.
        evaluations.note_start(session, held, attacked, f"{IMPLEMENTATIONS}, {device.type}")
    with database.reading() as session:
        done = [_as_event(row) for row in evaluations.batches(session, held.id)]
        known = [_as_event(row) for row in batches.reusable(session, held.id)]

    reused = {(batch.stage, batch.images) for batch in known}
    found = evaluate(loaded.model, test, spec, len(classes), device=device, done=done, known=known, sources=sources)
    # Of the batches computed here: how long they took, and how many model passes they were.
    spent_s, passes = 0.0, 0
    since, before = time.monotonic(), None
    for batch in found:
        seconds = 0.0 if (batch.stage, batch.images) in reused else time.monotonic() - since
        record = partial(evaluations.record_batch, held=held, batch=batch, seconds=seconds)
        database.write(record, patience_s=settings.database_patience_s)
        failpoints.reach("batch_recorded")
        if seconds and before is not None:
            spent_s, passes = spent_s + seconds, passes + batch.completed - before
        before = batch.completed
        heartbeat.tell(
            JobProgress(
                phase=batch.stage,
                completed=batch.completed,
                total=batch.total,
                unit="model passes",
                eta_s=_eta_s(spent_s, passes, batch.total - batch.completed),
            )
        )
        heartbeat.checkpoint()
        since = time.monotonic()
    finish = partial(evaluations.complete, held=held, findings=found.findings)
    database.write(finish, patience_s=settings.database_patience_s)


def _load(checkpoint: Checkpoint, settings: WorkerSettings, device: torch.device) -> LoadedModel:
    """The checkpoint's model.

    Raises:
        CheckpointInvalid: its file is damaged.
        OSError: it cannot be read; a storage that is away must not be taken for a checkpoint that is lost.
    """
    file = checkpoints.file_of(checkpoint, settings.storage)
    if hashlib.sha256(file.read_bytes()).hexdigest() != checkpoint.sha256:
        raise CheckpointInvalid(f"The file of checkpoint {checkpoint.id} is damaged.")
    return load_model(file, device)


def _require_classes(told: Sequence[str], there: Sequence[str]) -> None:
    """Check what an import said of a data set that it did not see; a label is a position in the data set's classes.

    Raises:
        CheckpointInvalid: there are more or fewer classes, or the same ones in another order.
    """
    if len(told) != len(there):
        raise CheckpointInvalid(f"The checkpoint tells {len(told)} classes apart, and its data set has {len(there)}.")
    if set(told) == set(there) and tuple(told) != tuple(there):
        raise CheckpointInvalid(
            f"The checkpoint's classes are the data set's in another order, which is {', '.join(there)}. Reorder the "
            "rows of its last layer, and import it again."
        )


def _sources(
    database: Database,
    identifiers: Sequence[str],
    target: LoadedModel,
    settings: WorkerSettings,
    device: torch.device,
) -> Mapping[str, nn.Module]:
    """The models that transfer attacks make their examples on, by checkpoint."""
    models: dict[str, nn.Module] = {}
    for identifier in identifiers:
        try:
            with database.reading() as session:
                checkpoint = checkpoints.get(session, identifier)
        except NotFound as error:
            raise CheckpointInvalid(str(error)) from error
        source = _load(checkpoint, settings, device)
        if (source.card.image_shape, len(source.card.classes)) != (target.card.image_shape, len(target.card.classes)):
            raise CheckpointInvalid(f"Checkpoint {identifier} is for other images or classes than the attacked one.")
        models[identifier] = source.model
    return models


def _as_event(row: EvaluationBatch) -> BatchAttacked:
    zero_gradient = None if row.zero_gradient is None else tuple(row.zero_gradient)
    return BatchAttacked(
        stage=row.stage,
        batch=row.batch,
        images=tuple(row.images),
        labels=tuple(row.labels),
        predicted=tuple(row.predicted),
        zero_gradient=zero_gradient,
        completed=0,
        total=0,
    )


def _eta_s(seconds: float, completed: int, remaining: int) -> float | None:
    return None if completed == 0 else seconds / completed * remaining

"""An evaluation: one checkpoint under attack, each finished batch a row."""

import hashlib
import time
from functools import partial

import torch

from gauntlet.checkpoints import load_model
from gauntlet.datasets import digest, load_split
from gauntlet.errors import CheckpointInvalid
from gauntlet.evaluation import evaluate
from gauntlet.events import BatchAttacked
from store import checkpoints, evaluations, jobs
from store.database import Database
from store.jobs import Claim, JobProgress
from store.models import EvaluationBatch
from worker import failpoints
from worker.devices import describe_device
from worker.heartbeat import Heartbeat
from worker.settings import WorkerSettings


def evaluate_checkpoint(
    database: Database, held: Claim, settings: WorkerSettings, heartbeat: Heartbeat, device: torch.device
) -> None:
    """Attack the claimed evaluation's checkpoint, continuing after the batches that an earlier attempt finished.

    Raises:
        Stopped: the job was told to stop.
        LeaseLost: another attempt has it.
        GauntletError: the data or the checkpoint is missing or damaged, or an attack does not apply.
    """
    with database.reading() as session:
        evaluation = evaluations.get(session, held.id)
        checkpoint = checkpoints.get(session, evaluation.checkpoint_id)
        done = [_as_event(row) for row in evaluations.batches(session, held.id)]
    spec = evaluations.specified(evaluation)
    heartbeat.tell(JobProgress("loading data", 0, 1, "data sets"))
    file = checkpoints.file_of(checkpoint, settings.storage)
    if not file.is_file() or hashlib.sha256(file.read_bytes()).hexdigest() != checkpoint.sha256:
        raise CheckpointInvalid(f"The file of checkpoint {checkpoint.id} is missing or damaged.")
    loaded = load_model(file, device)
    test, classes = load_split(loaded.card.dataset, "test", settings.data_root)
    # What an import said of an image folder that it did not see.
    if len(classes) != len(loaded.card.classes):
        raise CheckpointInvalid(
            f"The checkpoint tells {len(loaded.card.classes)} classes apart, and its data set has {len(classes)}."
        )

    with database.writing() as session:
        jobs.note_device(session, held, describe_device(device))
        evaluations.note_dataset(session, held, digest(test, classes))

    started, first = time.monotonic(), None
    since = started
    for batch in evaluate(loaded.model, test, spec, len(classes), device=device, done=done):
        record = partial(evaluations.record_batch, held=held, batch=batch, seconds=time.monotonic() - since)
        database.write(record, patience_s=settings.database_patience_s)
        failpoints.reach("batch_recorded")
        first = batch.completed if first is None else first
        heartbeat.tell(
            JobProgress(
                phase=batch.stage,
                completed=batch.completed,
                total=batch.total,
                unit="model passes",
                eta_s=_eta_s(time.monotonic() - started, batch.completed - first, batch.total - batch.completed),
            )
        )
        heartbeat.checkpoint()
        since = time.monotonic()
    database.write(partial(evaluations.complete, held=held), patience_s=settings.database_patience_s)


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

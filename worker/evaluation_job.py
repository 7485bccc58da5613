"""An evaluation: one checkpoint under attack, each finished batch a row."""

import hashlib
import time
from functools import partial

import torch

from gauntlet.checkpoints import load_model
from gauntlet.datasets import load_split
from gauntlet.errors import CheckpointInvalid
from gauntlet.evaluation import evaluate
from gauntlet.events import BatchAttacked
from store import checkpoints, evaluations
from store.database import Database
from store.jobs import Claim, JobProgress
from worker import failpoints
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
        done = [
            BatchAttacked(row.stage, row.batch, tuple(row.images), tuple(row.robust), completed=0, total=0)
            for row in evaluations.batches(session, held.id)
        ]
    spec = evaluations.specified(evaluation)
    heartbeat.tell(JobProgress("loading data", 0, 1, "data sets"))
    file = checkpoints.file_of(checkpoint, settings.storage)
    if not file.is_file() or hashlib.sha256(file.read_bytes()).hexdigest() != checkpoint.sha256:
        raise CheckpointInvalid(f"The file of checkpoint {checkpoint.id} is missing or damaged.")
    loaded = load_model(file, device)
    test, classes = load_split(loaded.card.spec.dataset, "test", settings.data_root)

    started, first = time.monotonic(), None
    for batch in evaluate(loaded.model, test, spec, len(classes), device=device, done=done):
        record = partial(
            evaluations.record_batch,
            held=held,
            stage=batch.stage,
            batch=batch.batch,
            images=batch.images,
            robust=batch.robust,
        )
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
    database.write(partial(evaluations.complete, held=held), patience_s=settings.database_patience_s)


def _eta_s(seconds: float, completed: int, remaining: int) -> float | None:
    return None if completed == 0 else seconds / completed * remaining

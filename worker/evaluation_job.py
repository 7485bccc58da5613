"""An evaluation: one checkpoint under attack, each finished batch a row."""

import hashlib
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import nn

from gauntlet.checks.faults import refuse
from gauntlet.checks.requests import evaluation_faults
from gauntlet.data.datasets import digest, read_split
from gauntlet.data.survey import survey
from gauntlet.errors import CheckpointInvalid
from gauntlet.evaluation.loop import evaluate
from gauntlet.events import BatchAttacked
from gauntlet.models.checkpoints import LoadedModel, load_model
from gauntlet.results.protocol import IMPLEMENTATIONS
from gauntlet.spec.evaluation import other_models
from gauntlet.spec.kinds import dataset_title
from store import batches, checkpoints, evaluations, failpoints, jobs
from store.database import Database
from store.evaluations import AttackedSet
from store.jobs import Claim, JobProgress
from store.models import Checkpoint, EvaluationBatch
from worker.devices import describe_device
from worker.heartbeat import Heartbeat
from worker.images import decoded_cache, root_of
from worker.settings import WorkerSettings

logger = logging.getLogger(__name__)

_TELL_EVERY_S = 5.0


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
        cards = checkpoints.cards(session, [checkpoint.id, *other_models(spec)])
    heartbeat.tell(JobProgress("loading data", 0, 1, "data sets"))
    dataset = checkpoints.card_of(checkpoint).dataset
    root = root_of(settings, dataset)
    seen = survey(dataset, root, ("test",))
    refuse(evaluation_faults(checkpoint.id, spec, seen, cards))
    loaded = _load(checkpoint, settings, device)
    sources = _sources(database, other_models(spec), settings, device)
    test, classes, described = read_split(
        dataset, "test", root, heartbeat.tell_of_pictures, cache=decoded_cache(settings)
    )

    attacked = AttackedSet(digest(test, classes), min(len(test), spec.samples), described)
    with database.writing() as session:
        jobs.note_device(session, held, describe_device(device))
        # A seed gives other random numbers on a GPU than on a CPU.
        evaluations.note_start(session, held, attacked, f"{IMPLEMENTATIONS}, {device.type}")
    with database.reading() as session:
        done = [_as_event(row) for row in evaluations.batches(session, held.id)]
        known = [_as_event(row) for row in batches.reusable(session, held.id)]

    logger.info(
        "Evaluation %s of checkpoint %s, experiment %s: %d images of %s on %s; %d batches are done, %d known.",
        held.id,
        checkpoint.id,
        evaluation.experiment_id or "none",
        attacked.images,
        dataset_title(dataset),
        describe_device(device),
        len(done),
        len(known),
    )
    told = _StageLog()
    reused = {(batch.stage, batch.images) for batch in known}
    # Of the batches computed here: how long they took, and how many model passes they were.
    spent_s, passes = 0.0, 0
    since, before = time.monotonic(), None

    def watch(stage: str, completed: int, total: int) -> None:
        eta_s = _eta_s(spent_s, passes, total - completed)
        heartbeat.tell(JobProgress(stage, completed, total, "model passes", eta_s))
        heartbeat.checkpoint()

    found = evaluate(
        loaded.model,
        test,
        spec,
        len(classes),
        device=device,
        done=done,
        known=known,
        sources=sources,
        watch=watch,
    )
    for batch in found:
        seconds = 0.0 if (batch.stage, batch.images) in reused else time.monotonic() - since
        tells = told.is_due(batch)
        record = partial(evaluations.record_batch, held=held, batch=batch, seconds=seconds, tell_progress=tells)
        failpoints.reach("batch_attacked")
        database.write(record, patience_s=settings.database_patience_s)
        failpoints.reach("batch_recorded")
        told.add(batch, seconds)
        if seconds and before is not None:
            spent_s, passes = spent_s + seconds, passes + batch.completed - before
        before = batch.completed
        watch(batch.stage, batch.completed, batch.total)
        since = time.monotonic()
    told.end()
    heartbeat.tell_at_once()
    finish = partial(evaluations.complete, held=held, findings=found.findings)
    database.write(finish, patience_s=settings.database_patience_s)
    failpoints.reach("outcome_recorded")


@dataclass
class _StageLog:
    """A line in the log for each attack, when its last batch of a segment is done; and when events tell of it."""

    _told: float = field(default_factory=time.monotonic)
    _stage: str | None = None
    _images: int = 0
    _right: int = 0
    _seconds: float = 0.0

    def is_due(self, batch: BatchAttacked) -> bool:
        """Whether an event is to say how far the attacks are: at each one's first batch, and now and then."""
        due = batch.stage != self._stage or time.monotonic() - self._told >= _TELL_EVERY_S
        if due:
            self._told = time.monotonic()
        return due

    def add(self, batch: BatchAttacked, seconds: float) -> None:
        if batch.stage != self._stage:
            self.end()
            self._stage = batch.stage
        self._images += len(batch.images)
        self._right += sum(batch.robust)
        self._seconds += seconds

    def end(self) -> None:
        if self._stage is not None:
            logger.info("%s: %d of %d images right, %.1f s.", self._stage, self._right, self._images, self._seconds)
        self._stage, self._images, self._right, self._seconds = None, 0, 0, 0.0


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


def _sources(
    database: Database, identifiers: Sequence[str], settings: WorkerSettings, device: torch.device
) -> Mapping[str, nn.Module]:
    """The models that transfer attacks make their examples on, by checkpoint."""
    with database.reading() as session:
        rows = [checkpoints.get(session, identifier) for identifier in identifiers]
    return {row.id: _load(row, settings, device).model for row in rows}


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

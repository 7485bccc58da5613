"""An evaluation: one checkpoint under attack, each finished batch a row."""

import hashlib
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from sqlalchemy.orm import Session
from torch import nn

from gauntlet.checks.faults import refuse
from gauntlet.checks.requests import evaluation_faults
from gauntlet.data.datasets import digest, read_split
from gauntlet.data.survey import survey
from gauntlet.errors import CheckpointInvalid
from gauntlet.evaluation.loop import evaluate
from gauntlet.events import BatchAttacked
from gauntlet.models.checkpoints import LoadedModel, load_model
from gauntlet.resources import PictureForm
from gauntlet.results.finding import Finding
from gauntlet.results.protocol import IMPLEMENTATIONS
from gauntlet.spec.evaluation import EvaluationSpec, other_models
from gauntlet.spec.kinds import dataset_title
from store import batches, checkpoints, evaluations, failpoints, jobs, pictures
from store.database import Database
from store.evaluations import AttackedSet
from store.files import StoredFile
from store.jobs import Claim, JobProgress
from store.models import Checkpoint, EvaluationBatch
from worker.devices import describe_device
from worker.heartbeat import Heartbeat
from worker.images import decoded_cache, root_of
from worker.pictures import PictureKeeper
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
    done, known = _found_before(database, held.id)
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
    keeper = PictureKeeper(database, held, settings.storage, spec)
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
        seconds = 0.0 if batch.attacked is None and (batch.stage, batch.images) in reused else time.monotonic() - since
        tells = told.is_due(batch)
        failpoints.reach("batch_attacked")
        kept = keeper.write_part(batch)
        record = partial(_record, held=held, batch=batch, kept=kept, seconds=seconds, tell_progress=tells)
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
    whole = keeper.write_whole(test, _about(held, checkpoint, spec, attacked, classes, device))
    finish = partial(_complete, held=held, findings=found.findings, whole=whole)
    database.write(finish, patience_s=settings.database_patience_s)
    failpoints.reach("outcome_recorded")
    keeper.tidy()


def _found_before(database: Database, identifier: str) -> tuple[list[BatchAttacked], list[BatchAttacked]]:
    """The evaluation's own batches that are done, and those of others that are as good."""
    with database.reading() as session:
        return (
            [_as_event(row) for row in evaluations.batches(session, identifier)],
            [_as_event(row) for row in batches.reusable(session, identifier)],
        )


def _about(
    held: Claim,
    checkpoint: Checkpoint,
    spec: EvaluationSpec,
    attacked: AttackedSet,
    classes: Sequence[str],
    device: torch.device,
) -> dict[str, Any]:
    """What the file of an evaluation's pictures says of them."""
    return {
        "evaluation": held.id,
        "checkpoint": checkpoint.id,
        "weights_sha256": checkpoint.sha256,
        "dataset": dataset_title(checkpoints.card_of(checkpoint).dataset),
        "dataset_sha256": attacked.sha256,
        "classes": list(classes),
        "seed": spec.seed,
        "batch_size": spec.batch_size,
        "implementation": f"{IMPLEMENTATIONS}, {device.type}",
    }


def _record(
    session: Session,
    held: Claim,
    batch: BatchAttacked,
    kept: StoredFile | None,
    *,
    seconds: float,
    tell_progress: bool,
) -> None:
    """A batch, and the file of its pictures if it has one."""
    evaluations.record_batch(session, held, batch, seconds=seconds, tell_progress=tell_progress)
    if kept is not None:
        pictures.record(session, held, pictures.part(batch.stage, batch.batch), kept)


def _complete(session: Session, held: Claim, findings: Sequence[Finding], whole: dict[PictureForm, StoredFile]) -> None:
    """The evaluation's end, and the files of all its pictures."""
    evaluations.complete(session, held, findings)
    pictures.publish(session, held.id, whole)


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

"""An evaluation: one checkpoint under attack, each finished batch a row."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from sqlalchemy.orm import Session

from gauntlet.events import BatchAttacked
from gauntlet.resources import PictureForm
from gauntlet.results.finding import Finding
from store import failpoints, pictures
from store.database import Database
from store.queue import helpers, jobs
from store.queue.jobs import Claim
from store.storage import StoredFile
from store.subjects import evaluations
from worker.jobs.devices import describe_device
from worker.jobs.evaluation_inputs import Inputs, read_inputs
from worker.jobs.heartbeat import Heartbeat
from worker.jobs.pictures import PictureKeeper
from worker.jobs.shared_sweep import SharedSweep
from worker.settings import WorkerSettings

logger = logging.getLogger(__name__)

_TELL_EVERY_S = 5.0


def evaluate_checkpoint(
    database: Database, held: Claim, settings: WorkerSettings, heartbeat: Heartbeat, device: torch.device
) -> None:
    """Attack the claimed evaluation's checkpoint, continuing after the batches that an earlier attempt finished.

    What other evaluations found of the same weights by the same protocol is taken over, and what helpers compute is not
    computed here.

    Raises:
        Stopped: the job was told to stop.
        LeaseLost: another attempt has it.
        GauntletError: the data is missing, the checkpoint is damaged, or an attack does not apply.
        OSError: the storage cannot be read.
    """
    inputs = read_inputs(database, held.id, settings, heartbeat, device)
    with database.writing() as session:
        jobs.note_device(session, held, describe_device(device))
        evaluations.note_start(session, held, inputs.attacked, helpers.implementation(device.type))
    logger.info(
        "Evaluation %s of checkpoint %s, experiment %s: %d images of %s on %s.",
        held.id,
        inputs.checkpoint.id,
        held.experiment or "none",
        inputs.attacked.images,
        inputs.dataset,
        describe_device(device),
    )
    sweep = SharedSweep(database, held, inputs, settings, heartbeat, device)
    logger.info("%d batches are done, %d are known from other evaluations.", sweep.done, sweep.known)
    keeper = PictureKeeper(database, held, settings.storage, inputs.spec)
    told, course = _StageLog(), heartbeat.course
    course.prepared()
    for batch, seconds in sweep:
        tells = told.is_due(batch)
        course.visit(batch.stage, ago_s=seconds)
        failpoints.reach("batch_attacked")
        with course.part("write files"):
            kept = keeper.write_part(batch)
        record = partial(_record, held=held, batch=batch, kept=kept, seconds=seconds, tell_progress=tells)
        with course.part("record rows"):
            database.write(record, patience_s=settings.database_patience_s)
        failpoints.reach("batch_recorded")
        told.add(batch, seconds)
    told.end()
    heartbeat.tell_at_once()
    with course.part("write files"):
        whole = keeper.write_whole(inputs.test, _about(held, inputs, device))
    finish = partial(_complete, held=held, findings=sweep.findings, whole=whole)
    with course.part("record rows"):
        database.write(finish, patience_s=settings.database_patience_s)
    failpoints.reach("outcome_recorded")
    keeper.tidy()


def _about(held: Claim, inputs: Inputs, device: torch.device) -> dict[str, Any]:
    """What the file of an evaluation's pictures says of them."""
    return {
        "evaluation": held.id,
        "checkpoint": inputs.checkpoint.id,
        "weights_sha256": inputs.checkpoint.sha256,
        "dataset": inputs.dataset,
        "dataset_sha256": inputs.attacked.sha256,
        "classes": list(inputs.classes),
        "seed": inputs.spec.seed,
        "batch_size": inputs.spec.batch_size,
        "implementation": helpers.implementation(device.type),
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

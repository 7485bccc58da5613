"""Batches of an evaluation that another worker holds, computed here as there was nothing else to do."""

import logging
from functools import partial

import torch

from store import failpoints
from store.database import Database
from store.queue import helpers
from store.queue.helpers import Help
from store.subjects import evaluations
from worker.jobs.devices import describe_device
from worker.jobs.evaluation_inputs import read_inputs
from worker.jobs.heartbeat import Heartbeat
from worker.jobs.shared_sweep import SharedSweep
from worker.settings import WorkerSettings

logger = logging.getLogger(__name__)


class CannotHelp(Exception):
    """What this worker would find is not what the evaluation's own worker finds."""


def help_evaluate(
    database: Database, helped: Help, settings: WorkerSettings, heartbeat: Heartbeat, device: torch.device
) -> None:
    """Compute batches until none is left, each once, as the evaluation's own worker would.

    Raises:
        Stopped: it was told to stop.
        LeaseLost: it is no helper any more, or the evaluation has ended.
        NothingToDo: what is left is others'.
        CannotHelp: the test images here are others, or they are attacked otherwise.
        GauntletError: as of an evaluation's own worker.
        OSError: the storage cannot be read.
    """
    inputs = read_inputs(database, helped.evaluation, settings, heartbeat, device)
    with database.reading() as session:
        evaluation = evaluations.get(session, helped.evaluation)
    theirs = evaluation.dataset_sha256, evaluation.implementation
    if theirs != (inputs.attacked.sha256, helpers.implementation(device.type)):
        raise CannotHelp(f"The evaluation {evaluation.id} attacks other images than are here, or otherwise.")
    sweep = SharedSweep(database, helped, inputs, settings, heartbeat, device)
    logger.info("%s helps on %s.", settings.worker_name, describe_device(device))
    failpoints.reach("help_begun")
    count, spent_s = 0, 0.0
    heartbeat.course.prepared()
    for batch, seconds in sweep:
        heartbeat.course.visit(batch.stage, ago_s=seconds)
        failpoints.reach("help_attacked")
        record = partial(evaluations.record_batch, hand=helped, batch=batch, seconds=seconds)
        with heartbeat.course.part("record rows"):
            database.write(record, patience_s=settings.database_patience_s)
        failpoints.reach("help_recorded")
        count, spent_s = count + 1, spent_s + seconds
    logger.info("%s has computed %d batches in %.1f s; there are no more.", settings.worker_name, count, spent_s)

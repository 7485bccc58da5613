"""A job's own process: everything that touches torch or the GPU happens here and ends with it."""

import logging
import signal
import sys
import time
from collections.abc import Callable

import torch
from sqlalchemy.exc import IntegrityError, InternalError, OperationalError

from gauntlet.errors import (
    AttackUnsupported,
    CheckpointInvalid,
    CompilerMissing,
    DatasetUnavailable,
    ImagesInvalid,
    ModelUnfit,
    OutputNotFinite,
    PicturesTooMany,
    PrecisionUnsupported,
    TrainingDiverged,
)
from gauntlet.models.memory import is_out_of_memory
from gauntlet.models.own_networks import own_networks, take_from
from store import files, jobs, logs
from store.broker import create_celery, wake
from store.database import Database
from store.errors import LeaseLost
from store.files import STORAGE_FULL
from store.jobs import Claim
from worker.devices import choose_device
from worker.evaluation_job import evaluate_checkpoint
from worker.heartbeat import Heartbeat, Stopped, end
from worker.job_log import JobLog
from worker.settings import WorkerSettings
from worker.training_job import train_run

logger = logging.getLogger(__name__)

# What libraries say of these holds lines of their code and paths of this machine; the log has it.
_OUT_OF_MEMORY = (
    "The memory of the machine, or of its GPU, is too small for the job beside what else runs there. Smaller batches "
    "or images take less."
)
_INTERNAL_ERROR = "A fault of the service ({}); its worker's log has it under this job's id."

# What each of the library's errors is called in `status_reason`; none is retried, for none would go away.
_REASONS: dict[type[Exception], str] = {
    TrainingDiverged: "diverged",
    DatasetUnavailable: "dataset_unavailable",
    CheckpointInvalid: "checkpoint_invalid",
    AttackUnsupported: "attack_unsupported",
    ImagesInvalid: "dataset_unavailable",
    ModelUnfit: "model_unfit",
    PicturesTooMany: "pictures_too_many",
    OutputNotFinite: "output_not_finite",
    CompilerMissing: "compiler_missing",
    PrecisionUnsupported: "precision_unsupported",
}


def main(settings: WorkerSettings, held: Claim) -> None:
    """Do one claimed job and write down how it ended. Entry of the process."""
    who = f"{held.id} attempt {held.token}"
    logs.configure(who, settings.log_format, job=held.id, attempt=held.token)
    started = time.monotonic()
    database = Database(settings.database_url)
    log = JobLog(database, held)
    logging.getLogger().addHandler(log)
    heartbeat = Heartbeat(database, held, settings, log)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: heartbeat.stop("shutdown"))
    torch.set_num_threads(settings.threads_per_job)
    take_from(settings.architectures)
    try:
        with heartbeat:
            _work(database, held, settings, heartbeat)
        with database.reading() as session:
            logger.info("After %.1f s: %s", time.monotonic() - started, jobs.end_of(session, held))
    finally:
        log.store_last()
    database.close()


def _work(database: Database, held: Claim, settings: WorkerSettings, heartbeat: Heartbeat) -> None:
    device = choose_device(settings.device)
    try:
        if held.kind == "run":
            waiting = train_run(database, held, settings, heartbeat, device)
            wake(create_celery(settings.broker_url), len(waiting))
        else:
            evaluate_checkpoint(database, held, settings, heartbeat, device)
    except Stopped as stopped:
        end(database, held, stopped.reason)
    except LeaseLost as error:
        logger.warning("%s", error)
    except tuple(_REASONS) as error:
        _fail(database, held, _REASONS[type(error)], str(error))
    except (OperationalError, IntegrityError, InternalError):
        # The database stayed away, a commit went through whose answer was lost, or PostgreSQL ended a transaction while
        # this process was stopped. It ends with an error, so that another attempt continues from what is recorded.
        logger.exception("The database failed this attempt.")
        sys.exit(1)
    except OSError as error:
        logger.exception("The storage failed this attempt.")
        # Of a full storage it is known that the fault is not the job's, so it waits for as long as it takes. Files that
        # are away, as when a network does not answer, may come back.
        put_back = jobs.postpone if error.errno in STORAGE_FULL else jobs.give_up
        _put_back(put_back, database, held, settings, "storage", files.fault(error))
    except Exception as error:
        logger.exception("The %s failed.", held.kind)
        if is_out_of_memory(error):
            _put_back(jobs.give_up, database, held, settings, "out_of_memory", _OUT_OF_MEMORY)
        else:
            _fail(database, held, "internal_error", _INTERNAL_ERROR.format(type(error).__name__))


def _fail(database: Database, held: Claim, reason: str, detail: str) -> None:
    try:
        with database.writing() as session:
            jobs.finish(session, held, "failed", reason, detail)
    except LeaseLost as error:
        logger.warning("%s", error)


def _put_back(
    put_back: Callable[..., None], database: Database, held: Claim, settings: WorkerSettings, reason: str, detail: str
) -> None:
    try:
        with database.writing() as session:
            put_back(session, held, reason, detail, retry_s=settings.retry_s)
    except LeaseLost as error:
        logger.warning("%s", error)


def probe(settings: WorkerSettings) -> dict[str, str] | str:
    """Use the device once; raises whatever torch raises where it cannot be used.

    Returns a team's own networks, by name, each with its package; or, as a sentence, why there are none.
    """
    torch.zeros(1, device=choose_device(settings.device))
    take_from(settings.architectures)
    try:
        return {name: network.package for name, network in own_networks().items()}
    except ModelUnfit as error:
        return str(error)

"""How a job ends that did not come to its end: what its error is called, and whether it is tried again."""

import logging
import sys
from collections.abc import Callable
from functools import partial
from typing import Final

from sqlalchemy.exc import IntegrityError, InternalError, OperationalError
from sqlalchemy.orm import Session

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
    ProcessLost,
    TrainingDiverged,
)
from gauntlet.models.memory import is_out_of_memory
from store import files
from store.database import Database
from store.errors import LeaseLost
from store.queue import jobs
from store.queue.jobs import Claim
from store.storage import is_the_storages
from worker.jobs.heartbeat import Stopped, end
from worker.settings import WorkerSettings

logger = logging.getLogger(__name__)

# What libraries say of these holds lines of their code and paths of this machine; the log has it.
_OUT_OF_MEMORY: Final = (
    "The memory of the machine, or of its GPU, is too small for the job beside what else runs there. Smaller batches "
    "or images take less."
)
_INTERNAL_ERROR: Final = "A fault of the service ({}); its worker's log has it under this job's id."

# What each of the library's errors is called in `status_reason`; none is retried, for none would go away.
_REASONS: Final[dict[type[Exception], str]] = {
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


def conclude(
    error: Exception, database: Database, held: Claim, settings: WorkerSettings, *, shared: bool = False
) -> None:
    """Write down how the attempt ended by `error`.

    `shared` says that it befell what several jobs have in common: none is blamed, and each is tried again.

    Raises:
        SystemExit: the database failed it, so that nothing can be written down.
    """
    match error:
        case Stopped():
            end(database, held, error.reason, patience_s=settings.database_patience_s)
        case LeaseLost():
            logger.warning("%s", error)
        case _ if type(error) in _REASONS:
            _fail(database, held, settings, _REASONS[type(error)], str(error))
        case OperationalError() | IntegrityError() | InternalError():
            # The database stayed away, a commit went through whose answer was lost, or the database has a fault of its
            # own. The process ends with an error, so that another attempt continues from what is recorded.
            logger.error("The database failed this attempt.", exc_info=error)
            sys.exit(1)
        case ProcessLost():
            _put_back(jobs.give_up, database, held, settings, "worker_lost", str(error))
        case OSError():
            logger.error("The storage failed this attempt.", exc_info=error)
            # Of a full storage, and of one that does not answer or refuses, it is known that the fault is not the
            # job's: it waits for as long as it takes. Files that are away, as when a network does not answer, may come
            # back.
            put_back = jobs.postpone if is_the_storages(error) else jobs.give_up
            _put_back(put_back, database, held, settings, "storage", files.fault(error))
        case _:
            logger.error("The %s failed.", held.kind, exc_info=error)
            said = _INTERNAL_ERROR.format(type(error).__name__)
            if is_out_of_memory(error):
                _put_back(jobs.give_up, database, held, settings, "out_of_memory", _OUT_OF_MEMORY)
            elif shared:
                _put_back(jobs.give_up, database, held, settings, "internal_error", said)
            else:
                _fail(database, held, settings, "internal_error", said)


def _fail(database: Database, held: Claim, settings: WorkerSettings, reason: str, detail: str) -> None:
    _write_end(database, settings, partial(jobs.finish, held=held, status="failed", reason=reason, detail=detail))


def _put_back(
    put_back: Callable[..., None], database: Database, held: Claim, settings: WorkerSettings, reason: str, detail: str
) -> None:
    ending = partial(put_back, held=held, reason=reason, detail=detail, retry_s=settings.retry_s)
    _write_end(database, settings, ending)


def _write_end(database: Database, settings: WorkerSettings, ending: Callable[[Session], object]) -> None:
    """Write it as patiently as all else of a job: those that are trained with it go on after this one's end only."""
    try:
        database.write(ending, patience_s=settings.database_patience_s)
    except LeaseLost as error:
        # Another attempt has it, or the write went through whose answer was lost.
        logger.warning("%s", error)

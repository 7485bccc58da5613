"""How an attempt ends that did not come to its end."""

import errno
import logging
from collections.abc import Iterator

import pytest
from sqlalchemy import text

from gauntlet.errors import CompilerMissing
from store import database as module
from store.database import Database
from store.queue.jobs import Claim
from store.storage import StorageRefused
from store.subjects import runs
from worker.jobs.endings import conclude
from worker.jobs.heartbeat import Stopped
from worker.settings import WorkerSettings


@pytest.fixture
def database(settings: WorkerSettings) -> Iterator[Database]:
    database = Database(settings.database_url)
    yield database
    database.close()


class Restore(logging.Handler):
    """Gives the table back once somebody has met its absence."""

    def __init__(self, database: Database) -> None:
        super().__init__()
        self._database, self.met = database, 0

    def emit(self, record: logging.LogRecord) -> None:
        assert "trying again" in record.getMessage()
        self.met += 1
        rename(self._database, "away", "events")


def rename(database: Database, table: str, to: str) -> None:
    with database.writing() as session:
        session.execute(text(f"ALTER TABLE {table} RENAME TO {to}"))


@pytest.mark.parametrize(
    ("error", "status", "reason", "crashes"),
    [
        (CompilerMissing("There is no compiler."), "failed", "compiler_missing", 0),
        (OSError(errno.EIO, "Input/output error"), "queued", "storage", 1),
        (PermissionError(errno.EACCES, "Permission denied", "/data/pets/labels.npy"), "queued", "storage", 1),
        (OSError(errno.EROFS, "Read-only file system", "/home/worker/.cache/torch"), "queued", "storage", 1),
        (StorageRefused(errno.EROFS, "Read-only file system"), "queued", "storage", 0),
        (Stopped("cancelled"), "cancelled", "user", 0),
        (Stopped("shutdown"), "queued", "worker_shutdown", 0),
    ],
    ids=["failed", "given up", "may not read", "may not write", "waits", "cancelled", "stopped"],
)
def test_an_end_is_written_once_the_database_is_there_again(
    error: Exception,
    status: str,
    reason: str,
    crashes: int,
    database: Database,
    held: Claim,
    settings: WorkerSettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At the first try it does not take it; runs that are trained together would all end with an end that is lost.

    Only what the storage itself refuses costs no attempt: elsewhere a right that is missing is waited for in vain.
    """
    monkeypatch.setattr(module, "_RETRY_EVERY_S", 0.0)
    restore = Restore(database)
    rename(database, "events", "away")
    module.logger.addHandler(restore)
    try:
        conclude(error, database, held, settings)
    finally:
        module.logger.removeHandler(restore)
    with database.reading() as session:
        run = runs.get(session, held.id)
    assert (run.status, run.status_reason, run.crashes, restore.met) == (status, reason, crashes, 1)

"""Runs of a worker's processes: started, stopped by SIGSTOP, and seen."""

import os
import signal
from pathlib import Path

from sqlalchemy import select, update

from store.database import Database
from store.models import Run
from store.subjects import runs
from tests.e2e.system import await_that
from worker.beside.reconciler import reconcile
from worker.processes import JobProcesses

NEVER = 1e9


def found(database: Database, run_id: str) -> Run:
    with database.reading() as session:
        return runs.get(session, run_id)


def trains(database: Database, run_id: str, attempt: int) -> bool:
    run = found(database, run_id)
    return (run.status, run.attempt, run.phase) == ("running", attempt, "training")


def started(database: Database, processes: JobProcesses, run_id: str) -> int:
    """Start the run; returns its process once it trains."""
    reconcile(database, processes, retry_s=NEVER)
    await_that(lambda: trains(database, run_id, 1))
    (job,) = processes._jobs
    assert job.process.pid is not None
    return job.process.pid


def hang(database: Database, pid: int) -> None:
    """Stop the process, but not while it writes, which would lock the database for all."""
    with database.writing() as session:
        session.execute(select(Run.id).limit(1))
        os.kill(pid, signal.SIGSTOP)
        # Each of its threads, before this lets go of the lock: one that is not there yet would renew the lease.
        await_that(lambda: all(_is_stopped(thread) for thread in Path(f"/proc/{pid}/task").iterdir()))


def _is_stopped(thread: Path) -> bool:
    return (thread / "stat").read_text().rpartition(")")[2].split()[0] == "T"


def expire(database: Database, run_id: str) -> None:
    """Let the lease run out now instead of in a while."""
    with database.writing() as session:
        session.execute(update(Run).where(Run.id == run_id).values(lease_expires_at=0.0))


def is_there(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()

"""The reconciler starts what was forgotten, without a broker, and only when there is room for it."""

import threading
import time
from collections.abc import Iterator

import pytest
from sqlalchemy import select, text

from gauntlet.spec.experiment import ExperimentSpec
from gauntlet.spec.kinds import ImageFolder
from store.database import Database, db_now
from store.models import Run
from store.queue import jobs
from store.subjects import experiments, runs
from tests.e2e.system import await_that
from worker.beside.reconciler import reconcile
from worker.presence import Announcer
from worker.processes import JobProcesses
from worker.settings import WorkerSettings


@pytest.fixture
def settings(settings: WorkerSettings) -> WorkerSettings:
    """A worker with one slot."""
    return settings.model_copy(update={"worker_slots": 1})


@pytest.fixture
def database(settings: WorkerSettings) -> Database:
    return Database(settings.database_url)


@pytest.fixture
def processes(settings: WorkerSettings, database: Database) -> Iterator[JobProcesses]:
    """An idle worker's."""
    processes = JobProcesses(settings, database)
    processes.preparation.make()
    yield processes
    processes.shut_down()


def submit(database: Database, spec: ExperimentSpec, *, runs: int = 1) -> list[str]:
    """Runs that fail as soon as they look for their images; nobody is told of them."""
    changes = {"dataset": ImageFolder(folder="nowhere", image_size=16), "seeds": tuple(range(runs))}
    with database.writing() as session:
        return experiments.create(session, spec.model_copy(update=changes), None)[1]


def found(database: Database, run_id: str) -> Run:
    with database.reading() as session:
        return runs.get(session, run_id)


def test_an_idle_worker_starts_forgotten_runs_one_per_slot(
    database: Database, processes: JobProcesses, tiny_spec: ExperimentSpec
) -> None:
    """A run whose message was lost, or could not be sent, is done all the same, and the next one in the next look."""
    first, second = submit(database, tiny_spec, runs=2)
    reconcile(database, processes, retry_s=60)
    await_that(lambda: found(database, first).status == "failed")
    await_that(lambda: processes.free_slots == 1)
    assert found(database, first).status_reason == "dataset_unavailable"
    assert found(database, second).status == "queued"

    def look_again() -> bool:
        reconcile(database, processes, retry_s=60)
        return found(database, second).status == "failed"

    await_that(look_again)


def test_a_message_waits_for_a_slot(database: Database, processes: JobProcesses, tiny_spec: ExperimentSpec) -> None:
    """A job that comes by the broker while the reconciler's takes the only slot is done after it, not beside it."""
    first, second = submit(database, tiny_spec, runs=2)
    reconcile(database, processes, retry_s=60)
    await_that(lambda: processes.free_slots == 0)
    processes.run()
    assert (found(database, first).status, found(database, second).status) == ("failed", "failed")
    ended, began = found(database, first).finished_at, found(database, second).started_at
    assert ended is not None
    assert began is not None
    assert ended <= began


def test_a_dead_workers_run_is_queued_and_started(
    database: Database, processes: JobProcesses, tiny_spec: ExperimentSpec
) -> None:
    """Both happen in one look."""
    (run_id,) = submit(database, tiny_spec)
    with database.writing() as session:
        jobs.claim(session, "run", run_id, "dead", lease_s=-1)
    reconcile(database, processes, retry_s=60)
    await_that(lambda: found(database, run_id).status == "failed")
    assert (found(database, run_id).attempt, found(database, run_id).crashes) == (2, 1)


def test_who_waited_for_a_lock_takes_nobody_for_dead(
    database_url: str, settings: WorkerSettings, tiny_spec: ExperimentSpec
) -> None:
    """With it waited those who would have renewed their leases, SQLite's as of PostgreSQL's; without one it does."""
    lease_s = 1.0
    settings = settings.model_copy(
        update={"database_url": database_url, "lease_s": lease_s, "heartbeat_s": 0.1, "worker_name": "judge"}
    )
    database, ahead_s = Database(database_url), [0.0]
    announcer = Announcer(database, settings, clock=lambda: time.monotonic() + ahead_s[0])
    (run_id,) = submit(database, tiny_spec)
    judged: list[bool] = []

    def may_judge(moment: float) -> bool:
        judged.append(announcer.may_judge(moment))
        return judged[-1]

    def look() -> None:
        reconcile(database, JobProcesses(settings, database), retry_s=60, may_judge=may_judge)

    def come_to_judge() -> None:
        announcer.tell()
        while not announcer.may_judge(now(database)):
            ahead_s[0] += announcer.every_s
            announcer.tell()

    come_to_judge()
    with database.writing() as session:
        jobs.claim(session, "run", run_id, "lives", lease_s)
    announcer.tell()
    with database.writing() as session:
        if session.get_bind().dialect.name == "postgresql":
            session.execute(text("LOCK TABLE runs"))
        else:
            session.execute(text("SELECT 1"))
        # By then the lease has run out, and SQLite lets who looks for that read.
        time.sleep(1.1 * lease_s)
        looking = threading.Thread(target=look)
        looking.start()
        time.sleep(0.4 * lease_s)
    looking.join()
    assert len(judged) == 1
    assert (found(database, run_id).status, found(database, run_id).crashes) == ("running", 0)
    come_to_judge()
    with database.writing() as session:
        taken = jobs.reclaim_expired(session, Run, retry_s=60, at=now(database))
    assert taken == {run_id: "queued"}
    database.close()


def now(database: Database) -> float:
    with database.reading() as session:
        return session.scalars(select(db_now())).one()


def test_a_worker_that_shuts_down_starts_nothing(
    database: Database, processes: JobProcesses, tiny_spec: ExperimentSpec
) -> None:
    """It has no room, so it leaves the waiting run to others."""
    (run_id,) = submit(database, tiny_spec)
    processes.shut_down()
    reconcile(database, processes, retry_s=60)
    processes.run()
    assert found(database, run_id).status == "queued"

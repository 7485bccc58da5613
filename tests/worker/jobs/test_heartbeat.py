"""A job's pulse: progress, cancel, a lost lease, and an end for jobs that do not listen."""

import math
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import delete, select, text

from gauntlet.spec.experiment import ExperimentSpec
from store.database import Database, db_now
from store.models import Run, Worker
from store.queue import jobs
from store.queue.jobs import Claim, JobProgress
from store.subjects import experiments, runs
from tests.e2e.system import await_that
from worker.jobs.heartbeat import Heartbeat, Stopped, beating, end, until_next_s
from worker.settings import WorkerSettings


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> WorkerSettings:
    """A worker with a fast pulse, on a database of each kind."""
    return WorkerSettings(home=tmp_path, database_url=database_url, heartbeat_s=0.02)


# A table that is not there: to PostgreSQL that is a fault of the statement, not of the database.
missing_table = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@contextmanager
def away(database: Database, table: str) -> Iterator[None]:
    """The database does not take what is written to the table."""
    with database.writing() as session:
        session.execute(text(f"ALTER TABLE {table} RENAME TO away"))
    yield
    with database.writing() as session:
        session.execute(text(f"ALTER TABLE away RENAME TO {table}"))


def stop_reason(heartbeat: Heartbeat) -> str | None:
    try:
        heartbeat.checkpoint()
    except Stopped as stopped:
        return stopped.reason
    return None


def test_progress_reaches_the_row(database: Database, held: Claim, settings: WorkerSettings) -> None:
    """What the job tells is written by the next beat."""

    def completed() -> int:
        with database.reading() as session:
            return runs.get(session, held.id).completed

    with beating(Heartbeat(database, held, settings)) as (heartbeat,):
        heartbeat.tell(JobProgress("training", 7, 9, "batches"))
        await_that(lambda: completed() == 7)
        assert stop_reason(heartbeat) is None


def test_the_pulse_follows_the_number_of_workers(database: Database, held: Claim, settings: WorkerSettings) -> None:
    """A job counts them with its first beat, and later again."""
    with database.writing() as session:
        rows = (
            Worker(name=str(number), slots=1, version="0", started_at=0.0, seen_at=db_now()) for number in range(750)
        )
        session.add_all(rows)
    heartbeat = Heartbeat(database, held, settings)
    assert heartbeat.every_s == settings.heartbeat_s
    heartbeat.beat()
    assert heartbeat.every_s == pytest.approx(3 * settings.heartbeat_s)
    with database.writing() as session:
        session.execute(delete(Worker))
    heartbeat.beat()
    assert heartbeat.every_s == pytest.approx(3 * settings.heartbeat_s)
    heartbeat._count_next = 0.0
    heartbeat.beat()
    assert heartbeat.every_s == settings.heartbeat_s


@missing_table
def test_after_a_beat_that_failed_the_next_one_comes_soon(
    database: Database, held: Claim, settings: WorkerSettings
) -> None:
    """However slow the pulse, a lease outlives an outage that is shorter than it; the others' pace follows."""
    slow, gone = Heartbeat(database, held, settings), Heartbeat(database, held, settings)
    slow._alive = gone._alive = 750
    slow._count_next = gone._count_next = math.inf
    slowed = pytest.approx(3 * settings.heartbeat_s)
    assert until_next_s((gone, slow)) == slowed
    with away(database, "runs"):
        assert not slow.beat()
    assert until_next_s((gone, slow)) == settings.heartbeat_s
    assert slow.beat()
    assert until_next_s((gone, slow)) == slowed
    # The pace is that of those who still beat.
    gone._alive = 1
    assert until_next_s((gone, slow)) == settings.heartbeat_s
    gone.leave()
    assert until_next_s((gone, slow)) == slowed


def test_a_cancel_stops_the_job_at_its_next_batch(database: Database, held: Claim, settings: WorkerSettings) -> None:
    """The request is heard through the row."""
    with beating(Heartbeat(database, held, settings)) as (heartbeat,):
        with database.writing() as session:
            runs.cancel(session, held.id)
        await_that(lambda: stop_reason(heartbeat) == "cancelled")


def test_a_pause_stops_the_job_at_its_next_batch(database: Database, held: Claim, settings: WorkerSettings) -> None:
    """However long that takes, with what is done saved; unless it is resumed before, or must stop for good."""
    with beating(Heartbeat(database, held, settings.model_copy(update={"stop_grace_s": 1e-9}))) as (heartbeat,):
        with database.writing() as session:
            runs.pause(session, held.id)
        await_that(lambda: stop_reason(heartbeat) == "paused")
        assert heartbeat.must_save
        with database.writing() as session:
            runs.resume(session, held.id)
        await_that(lambda: stop_reason(heartbeat) is None)
        with database.writing() as session:
            runs.pause(session, held.id)
        await_that(lambda: stop_reason(heartbeat) == "paused")
    heartbeat.stop("cancelled")
    assert (stop_reason(heartbeat), heartbeat.must_save) == ("cancelled", False)


def test_a_job_that_stopped_for_a_pause_is_paused(database: Database, held: Claim) -> None:
    """That is what its end writes down."""
    with database.writing() as session:
        runs.pause(session, held.id)
    end(database, held, "paused")
    with database.reading() as session:
        assert runs.get(session, held.id).status == "paused"


def test_a_lost_lease_stops_the_job(database: Database, held: Claim, settings: WorkerSettings) -> None:
    """Once another attempt may have the run, this one ends."""
    with beating(Heartbeat(database, held, settings)) as (heartbeat,):
        with database.writing() as session:
            jobs.abandon(session, held, "It died.", retry_s=60)
        await_that(lambda: stop_reason(heartbeat) == "lease_lost")


BEYOND_ANY_COLUMN = JobProgress("training", 2**63, 2**63, "batches")


def test_a_beat_that_fails_is_not_the_last(
    database: Database, held: Claim, settings: WorkerSettings, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever the error, it is logged, and the next beat renews the lease."""

    def completed() -> int:
        with database.reading() as session:
            return runs.get(session, held.id).completed

    with beating(Heartbeat(database, held, settings)) as (heartbeat,):
        heartbeat.tell(BEYOND_ANY_COLUMN)
        await_that(lambda: "A heartbeat of" in caplog.text)
        heartbeat.tell(JobProgress("training", 7, 9, "batches"))
        await_that(lambda: completed() == 7)
        assert stop_reason(heartbeat) is None


def test_a_job_does_not_go_on_without_its_lease(database: Database, held: Claim, settings: WorkerSettings) -> None:
    """If no beat renewed it until it ran out, the job stops as if another attempt had it, which may be so."""
    short = settings.model_copy(update={"lease_s": 0.3})
    with beating(Heartbeat(database, held, short)) as (heartbeat,):
        heartbeat.tell(BEYOND_ANY_COLUMN)
        await_that(lambda: stop_reason(heartbeat) == "lease_lost")


_DEAF_JOB = """
import sys, time
from store.database import Database
from store.queue.jobs import Claim
from worker.jobs.heartbeat import Heartbeat, beating
from worker.settings import WorkerSettings

settings = WorkerSettings(database_url=sys.argv[1], heartbeat_s=0.02, stop_grace_s=0.05)
with beating(Heartbeat(Database(settings.database_url), Claim("run", sys.argv[2], int(sys.argv[3])), settings)):
    print("beating", flush=True)
    time.sleep(200)
"""


def test_a_job_that_does_not_listen_is_ended(database: Database, held: Claim, settings: WorkerSettings) -> None:
    """Deep in a batch when it is cancelled, it is ended by its heartbeat after the grace, and the row says so."""
    job = subprocess.Popen(
        [sys.executable, "-c", _DEAF_JOB, settings.database_url, held.id, str(held.token)], stdout=subprocess.PIPE
    )
    assert job.stdout is not None
    assert job.stdout.readline() == b"beating\n"
    with database.writing() as session:
        runs.cancel(session, held.id)
    assert job.wait(90) == 0
    job.stdout.close()
    with database.reading() as session:
        run = session.get_one(Run, held.id)
    assert (run.status, run.status_reason) == ("cancelled", "user")


@missing_table
def test_a_job_that_waits_to_write_its_end_is_not_ended_while_the_database_is_away(
    database: Database, held: Claim, settings: WorkerSettings
) -> None:
    """It has stopped, and is as quiet as one that does not listen: its row has its end before its process ends."""
    heartbeat = Heartbeat(database, held, settings.model_copy(update={"stop_grace_s": 1e-9}))
    heartbeat.stop("cancelled")
    with away(database, "runs"):
        heartbeat.end_if_deaf()
        assert not heartbeat.is_over
    heartbeat.end_if_deaf()
    assert heartbeat.is_deaf
    with database.reading() as session:
        assert runs.get(session, held.id).status == "cancelled"


def test_a_job_that_does_not_listen_leaves_the_others_alone(
    database: Database, held: Claim, settings: WorkerSettings, tiny_spec: ExperimentSpec
) -> None:
    """Of a process's jobs one is ended in its row; the other's lease is renewed, and the process goes on."""
    with database.writing() as session:
        _, (run,) = experiments.create(session, tiny_spec, None)
        other = jobs.claim(session, "run", run, "worker", 60)
    assert other is not None

    def lease() -> float:
        with database.reading() as session:
            return runs.get(session, other.id).lease_expires_at or 0.0

    soon = settings.model_copy(update={"stop_grace_s": 0.05})
    with beating(Heartbeat(database, held, soon), Heartbeat(database, other, soon)) as (deaf, works):
        deaf.stop("cancelled")
        await_that(lambda: deaf.is_deaf)
        with database.reading() as session:
            assert runs.get(session, held.id).status == "cancelled"
        before = lease()
        await_that(lambda: lease() > before)
        assert stop_reason(works) is None
        assert not deaf.has_left
        deaf.leave()
        assert deaf.has_left


def test_a_locked_row_costs_the_others_of_a_process_nothing(
    postgresql_url: str, settings: WorkerSettings, tiny_spec: ExperimentSpec
) -> None:
    """Those before and behind it are renewed while it is locked; its end is written once it no longer is."""
    seeds = tiny_spec.model_copy(update={"seeds": (0, 1, 2)})
    short = settings.model_copy(update={"lease_s": 0.6, "stop_grace_s": 0.01})
    with closing(Database(postgresql_url)) as database:
        with database.writing() as session:
            _, ids = experiments.create(session, seeds, None)
            claims = [held for run in ids if (held := jobs.claim(session, "run", run, "worker", 60)) is not None]

        def leases() -> list[float]:
            with database.reading() as session:
                return [runs.get(session, ids[place]).lease_expires_at or 0.0 for place in (0, 2)]

        # Longer ones than the beats give.
        before = leases()
        with ExitStack() as locking:
            # Before the first beat.
            session = locking.enter_context(database.writing())
            session.execute(select(Run.id).where(Run.id == ids[1]).with_for_update())
            with beating(*(Heartbeat(database, held, short) for held in claims)) as (_, locked, _):
                locked.stop("cancelled")
                await_that(lambda: all(lease < then for lease, then in zip(leases(), before, strict=True)))
                assert not locked.is_over
                locking.close()
                await_that(lambda: locked.is_deaf)
        with database.reading() as session:
            assert [runs.get(session, run).status for run in ids] == ["running", "cancelled", "running"]

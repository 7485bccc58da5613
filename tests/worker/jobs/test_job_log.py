"""What a job's process logs, as its users read it."""

import logging

import pytest
from sqlalchemy import update

from gauntlet.spec.experiment import ExperimentSpec
from store import job_logs
from store.database import Database
from store.models import Run
from store.queue.jobs import Claim
from store.subjects import experiments
from worker.jobs.job_log import JobLog

HELD = Claim("run", "run_1", 2)


@pytest.fixture
def database(sqlite_url: str, tiny_spec: ExperimentSpec) -> Database:
    """With the run."""
    database = Database(sqlite_url)
    with database.writing() as session:
        experiments.create(session, tiny_spec, None)
        session.execute(update(Run).values(id=HELD.id))
    return database


def stored(database: Database) -> list[str]:
    with database.reading() as session:
        return job_logs.read(session, HELD.id, after=0, limit=100)


def logged(log: JobLog, message: str, *values: object, error: BaseException | None = None) -> None:
    exc_info = (type(error), error, error.__traceback__) if error else None
    log.handle(logging.LogRecord("worker", logging.INFO, __file__, 1, message, values, exc_info))


def test_lines_are_stored_once_and_in_order(database: Database) -> None:
    """Each with its time, how grave it is and its attempt; whole on one line."""
    log = JobLog(database, HELD)
    logged(log, "Epoch %d of %d.", 1, 2)
    log.store()
    logged(log, "two\nlines")
    log.store()
    log.store_last()
    assert [line.partition("Z ")[2] for line in stored(database)] == [
        "INFO [attempt 2] Epoch 1 of 2.",
        r"INFO [attempt 2] two\nlines",
    ]


def test_nobody_reads_of_passwords_paths_or_code(database: Database) -> None:
    """A password is masked, of a path its last part is left, and a traceback is in the worker's own log alone."""
    log = JobLog(database, HELD)
    logged(log, "It failed at %s.", "redis://:hunter2@queue", error=OSError("secret words"))
    logged(log, "%s and '%s' cannot be read, at 8/255.", "/srv/gauntlet/checkpoints/run_1/state", "/home/ada/a b.png")
    log.store()
    told = [line.partition("] ")[2] for line in stored(database)]
    assert told == [
        "It failed at redis://:***@queue. (The worker's own log says where in the code.)",
        "…/state and '…/a b.png' cannot be read, at 8/255.",
    ]


def test_a_log_is_bounded_and_keeps_its_end(database: Database) -> None:
    """Of lines past the bound the last twenty are stored, with how many are left out."""
    log = JobLog(database, HELD, most_characters=300)
    for number in range(100):
        logged(log, "line %d", number)
    log.store()
    log.store_last()
    lines = stored(database)
    first = [line for line in lines if " line " in line][:-20]
    assert len("".join(first)) <= 300
    assert lines[len(first)] == f"({80 - len(first)} lines are left out here; the worker's own log has them.)"
    assert [line.rpartition(" ")[2] for line in lines[-20:]] == [str(number) for number in range(80, 100)]


def test_a_log_that_cannot_be_stored_harms_nobody(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    """The job goes on; the lines are tried again with those that come, and at last standard error says so."""
    log = JobLog(database, HELD)
    with database.writing() as session:
        session.connection().exec_driver_sql("DROP TABLE logged_lines")
    logged(log, "line")
    log.store()
    logged(log, "another")
    log.store_last()
    assert "2 lines of the log of run_1 could not be stored." in capsys.readouterr().err

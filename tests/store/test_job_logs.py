"""A job's log as rows, on both databases."""

import threading
from contextlib import closing

import pytest
from sqlalchemy import func, select

from gauntlet.spec.experiment import ExperimentSpec
from store import job_logs
from store.database import Database
from store.models import LoggedLines
from store.subjects import deletions, experiments, runs
from tests.postgres import await_lock


@pytest.fixture
def jobs(database: Database, tiny_spec: ExperimentSpec) -> list[str]:
    """Two runs."""
    with database.writing() as session:
        return experiments.create(session, tiny_spec.model_copy(update={"seeds": (0, 1)}), None)[1]


@pytest.mark.parametrize(
    ("after", "limit", "expected"),
    [
        (0, 10, "one two three four five six"),
        (0, 2, "one two"),
        (1, 2, "two three"),
        (2, 3, "three four five"),
        (5, 10, "six"),
        (6, 10, ""),
        (100, 10, ""),
    ],
)
def test_a_log_is_read_from_any_line(
    database: Database, jobs: list[str], after: int, limit: int, expected: str
) -> None:
    """Whatever lines were stored together, and whatever other jobs logged between."""
    with database.writing() as session:
        for lines in ("one two", "three", "four five six"):
            job_logs.append(session, jobs[0], lines.split())
            job_logs.append(session, jobs[1], ["another"])
    with database.reading() as session:
        assert job_logs.read(session, jobs[0], after=after, limit=limit) == expected.split()


def test_logs_of_deleted_jobs_are_forgotten(database: Database, jobs: list[str]) -> None:
    """And no others."""
    with database.writing() as session:
        for job in jobs:
            job_logs.append(session, job, [job])
        job_logs.forget(session, jobs[:1])
    with database.reading() as session:
        assert [job_logs.read(session, job, after=0, limit=9) for job in jobs] == [[], jobs[1:]]


def test_the_last_words_about_a_deleted_job_are_not_kept(database: Database) -> None:
    """Its process says how it ended after its end, when its user may have deleted it: nobody would delete them."""
    with database.writing() as session:
        job_logs.append(session, "run_that_was_deleted", ["After 3.0 s: the run is deleted."])
    with database.reading() as session:
        assert session.scalar(select(func.count()).select_from(LoggedLines)) == 0


def test_lines_that_come_while_their_job_is_deleted_are_not_kept(
    postgresql_url: str, tiny_spec: ExperimentSpec
) -> None:
    """PostgreSQL shows the job to its process until the deletion is committed."""
    with closing(Database(postgresql_url)) as database:
        with database.writing() as session:
            experiment, (run,) = experiments.create(session, tiny_spec, None)
            runs.cancel(session, run)

        def append() -> None:
            with database.writing() as session:
                job_logs.append(session, run, ["After 3.0 s: the run is cancelled."])

        appending = threading.Thread(target=append)
        with database.writing() as session:
            deletions.delete_experiment(session, experiments.get(session, experiment.id))
            appending.start()
            await_lock(database)
        appending.join()
        with database.reading() as session:
            assert session.scalar(select(func.count()).select_from(LoggedLines)) == 0

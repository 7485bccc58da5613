"""A job's log as rows, on both databases."""

import pytest

from store import job_logs
from store.database import Database


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
def test_a_log_is_read_from_any_line(database: Database, after: int, limit: int, expected: str) -> None:
    """Whatever lines were stored together, and whatever other jobs logged between."""
    with database.writing() as session:
        for lines in ("one two", "three", "four five six"):
            job_logs.append(session, "run_1", lines.split())
            session.flush()
            job_logs.append(session, "run_2", ["another"])
            session.flush()
    with database.reading() as session:
        assert job_logs.read(session, "run_1", after=after, limit=limit) == expected.split()


def test_logs_of_deleted_jobs_are_forgotten(database: Database) -> None:
    """And no others."""
    with database.writing() as session:
        for job in ("run_1", "run_2"):
            job_logs.append(session, job, [job])
        job_logs.forget(session, ["run_1"])
    with database.reading() as session:
        assert [job_logs.read(session, job, after=0, limit=9) for job in ("run_1", "run_2")] == [[], ["run_2"]]

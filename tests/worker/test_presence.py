"""A worker's row, from its first word to its last."""

import logging
import os
import random
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import SQLAlchemyError

from store.database import Database, db_now
from store.models import Worker
from store.queue import workers
from tests.e2e.system import await_that
from worker.presence import Announcer, beats_every_s
from worker.settings import WorkerSettings


def test_a_worker_is_there_from_its_start_to_its_stop(database: Database, database_url: str) -> None:
    """One of the same name that was killed is forgotten at the start: it began at another time."""
    settings = WorkerSettings(database_url=database_url, worker_name="here:1", worker_slots=3)
    with database.writing() as session:
        session.add(Worker(name="here:1", slots=1, version="0", started_at=0.0, seen_at=db_now()))
    announcer = Announcer(database, settings)
    for _ in range(2):
        announcer.tell()
    with database.reading() as session:
        (row,) = workers.show(session)
    assert (row.name, row.slots, row.alive, row.started_at.year > 2000) == ("here:1", 3, True, True)
    announcer.leave()
    # A round that had begun comes after its last word.
    announcer.tell()
    with database.reading() as session:
        assert workers.show(session) == []


def test_its_file_is_touched_each_time_the_database_knows(tmp_path: Path, sqlite_url: str) -> None:
    """A container's health check looks at it; while the database is away it grows old. It is this worker's alone."""
    file, database = tmp_path / "alive", Database(sqlite_url)
    file.touch()
    announcer = Announcer(database, WorkerSettings(database_url=sqlite_url, worker_name="here:1", alive_file=file))
    assert not file.exists()
    for _ in range(2):
        announcer.tell()
        assert time.time() - file.stat().st_mtime < 60
        os.utime(file, (0, 0))
    Path(sqlite_url.removeprefix("sqlite:///")).unlink()
    database.close()
    with pytest.raises(SQLAlchemyError):
        announcer.tell()
    assert file.stat().st_mtime == 0
    announcer.leave()
    assert not file.exists()


@pytest.mark.parametrize(("chance", "others", "looks"), [(0.99, 9, True), (0.2, 40, True), (0.3, 40, False)])
def test_of_many_workers_a_few_look_for_what_any_may_do(
    sqlite_url: str, chance: float, others: int, looks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Up to ten always, of 41 a quarter, by chance; those that are not there any more do not count."""
    database = Database(sqlite_url)
    with database.writing() as session:
        for number in range(others):
            session.add(Worker(name=str(number), slots=1, version="0", started_at=0.0, seen_at=db_now()))
        for number in range(100):
            session.add(Worker(name=f"dead-{number}", slots=1, version="0", started_at=0.0, seen_at=db_now() - 31))
    announcer = Announcer(database, WorkerSettings(database_url=sqlite_url, worker_name="here:1"))
    announcer.tell()
    looked: list[bool] = []
    monkeypatch.setattr(random, "random", lambda: chance)
    announcer.in_turn(lambda: looked.append(True))()
    assert looked == [True] * looks
    assert announcer.takes_part() is looks
    database.close()


@pytest.mark.parametrize(
    ("heartbeat_s", "lease_s", "alive", "every_s"),
    [
        (1.0, 15.0, 0, 1.0),
        (1.0, 15.0, 250, 1.0),
        (1.0, 15.0, 1_000, 4.0),
        (1.0, 15.0, 9_000, 5.0),
        (4.0, 6.0, 1_000, 4.0),
    ],
)
def test_jobs_beat_more_rarely_beside_hundreds_of_workers(
    heartbeat_s: float, lease_s: float, alive: int, every_s: float
) -> None:
    """All together as often as those of 250; but three times in a lease, or as often as the settings say."""
    assert beats_every_s(heartbeat_s, lease_s, alive) == every_s


def test_leases_say_nothing_while_the_database_takes_nothing(sqlite_url: str) -> None:
    """Nor until whoever lives has had the time to renew theirs."""
    file, database = Path(sqlite_url.removeprefix("sqlite:///")), Database(sqlite_url)
    announcer = Announcer(database, WorkerSettings(database_url=sqlite_url, worker_name="here:1", heartbeat_s=0.1))
    assert not announcer.may_judge()
    for _ in range(2):
        database.close()
        # As where its disk is.
        file.rename(file.with_suffix(".away"))
        with pytest.raises(SQLAlchemyError):
            announcer.tell()
        time.sleep(0.4)
        assert not announcer.may_judge()
        database.close()
        file.with_suffix(".away").replace(file)
        back = time.monotonic()
        announcer.tell()
        await_that(announcer.may_judge)
        assert time.monotonic() - back >= 0.3
        announcer.tell()
        assert announcer.may_judge()
    database.close()


def test_leases_say_nothing_while_the_database_hangs(database: Database, database_url: str) -> None:
    """As where another's lock is waited for: who is late to be heard says as little as who is not."""
    settings = WorkerSettings(database_url=database_url, worker_name="here:1", heartbeat_s=0.1)
    announcer = Announcer(database, settings)
    announcer.tell()
    await_that(announcer.may_judge)
    with database.writing() as session:
        session.execute(select(Worker).with_for_update()).all()
        session.execute(update(Worker).values(version="0"))
        telling = threading.Thread(target=announcer.tell)
        telling.start()
        await_that(lambda: not announcer.may_judge())
        back = time.monotonic()
    telling.join()
    await_that(announcer.may_judge)
    assert time.monotonic() - back >= 0.3


def test_a_worker_stops_without_its_database(
    tmp_path_factory: pytest.TempPathFactory, caplog: pytest.LogCaptureFixture
) -> None:
    """That is a line in the log, and no fault of the stop."""
    away = f"sqlite:///{tmp_path_factory.mktemp('away')}/none.db"
    database = Database(away)
    with caplog.at_level(logging.WARNING):
        Announcer(database, WorkerSettings(database_url=away)).leave()
    database.close()
    assert "does not know that this worker stops" in caplog.text


def test_a_worker_stops_while_its_database_hangs(
    database: Database, database_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Also where a round is at its telling: its file is gone at once, and its row once the database goes on."""
    file = tmp_path / "alive"
    announcer = Announcer(database, WorkerSettings(database_url=database_url, worker_name="here:1", alive_file=file))
    announcer.tell()
    with database.writing() as session:
        # The row of a worker that beats is another's now, as is all of SQLite.
        session.execute(select(Worker).with_for_update()).all()
        session.execute(update(Worker).values(version="0"))
        telling = threading.Thread(target=announcer.tell)
        telling.start()
        await_that(announcer._telling.locked)
        announcer.leave()
        assert telling.is_alive()
        assert not file.exists()
    assert "does not know yet" in caplog.text

    def has_left() -> bool:
        with database.reading() as session:
            return workers.show(session) == []

    await_that(has_left)
    telling.join()
    assert not file.exists()

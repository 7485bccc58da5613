"""A worker's row, from its first word to its last."""

import logging
import os
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import select, text, update
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


class Clock:
    """A worker's own clock, which moves when it is told to."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def judge(database: Database, clock: Clock) -> Announcer:
    """A worker with a lease of 15 s and a heartbeat of one, which has not told anything yet."""
    return Announcer(database, WorkerSettings(worker_name="here:1", heartbeat_s=1, lease_s=15), clock=clock)


def now(database: Database) -> float:
    with database.reading() as session:
        return session.scalars(select(db_now())).one()


def judges_after(announcer: Announcer, clock: Clock, moment: float) -> float:
    """How long it is, with what is told meanwhile, until leases that ran out by the moment say something."""
    began = clock.now
    while not announcer.may_judge(moment):
        assert clock.now - began < 60
        clock.now += 1
        if (clock.now - began) % announcer.every_s == 0:
            announcer.tell()
    return clock.now - began


def test_leases_say_nothing_while_the_database_takes_nothing(sqlite_url: str) -> None:
    """Nor until whoever lives has had the time to renew theirs."""
    file, database, clock = Path(sqlite_url.removeprefix("sqlite:///")), Database(sqlite_url), Clock()
    moment, announcer = now(database), judge(database, clock)
    assert not announcer.may_judge(moment)
    for _ in range(2):
        database.close()
        # As where its disk is.
        file.rename(file.with_suffix(".away"))
        with pytest.raises(SQLAlchemyError):
            announcer.tell()
        clock.now += 4
        assert not announcer.may_judge(moment)
        database.close()
        file.with_suffix(".away").replace(file)
        announcer.tell()
        assert judges_after(announcer, clock, moment) == 3
        announcer.tell()
        assert announcer.may_judge(moment)
    database.close()


def test_leases_say_nothing_until_what_hung_has_come_to_renew_them(database: Database, database_url: str) -> None:
    """What was asked of PostgreSQL may hang for 15 s longer than it was away; then comes a beat."""
    clock = Clock()
    announcer = judge(database, clock)
    announcer.tell()
    assert judges_after(announcer, clock, now(database)) == (16 if "postgresql" in database_url else 3)


@pytest.mark.parametrize("lease_s", [15, 3])
def test_a_worker_tells_more_often_than_leases_run_out(sqlite_url: str, lease_s: float) -> None:
    """So where nothing is taken any more it judges nobody by the time at which the first of them may have run out."""
    database, clock = Database(sqlite_url), Clock()
    announcer = Announcer(database, WorkerSettings(worker_name="here:1", lease_s=lease_s), clock=clock)
    moment = now(database)
    announcer.tell()
    judges_after(announcer, clock, moment)
    announcer.tell()
    # By then renewed for the last time as late as it may be.
    clock.now += lease_s - max(1, lease_s / 3)
    assert not announcer.may_judge(moment)
    database.close()


@contextmanager
def telling_hangs(database: Database, announcer: Announcer) -> Iterator[threading.Thread]:
    """Inside, it tells and waits: the row of a worker that beats is another's, as is all of SQLite."""
    with database.writing() as session:
        session.execute(select(Worker).with_for_update()).all()
        session.execute(update(Worker).values(version="0"))
        telling = threading.Thread(target=announcer.tell)
        telling.start()
        await_that(announcer._telling.locked)
        yield telling


def test_leases_say_nothing_while_the_database_hangs(database: Database) -> None:
    """As where another's lock is waited for: who is late to be heard says as little as who is not."""
    clock = Clock()
    announcer, moment = judge(database, clock), now(database)
    announcer.tell()
    wait_s = judges_after(announcer, clock, moment)
    announcer.tell()
    with telling_hangs(database, announcer) as telling:
        clock.now += 8
        assert not announcer.may_judge(moment)
    telling.join()
    assert judges_after(announcer, clock, moment) == wait_s


@pytest.mark.parametrize("mode", ["ACCESS EXCLUSIVE", "SHARE"])
def test_what_keeps_leases_from_being_renewed_keeps_a_worker_from_telling(postgresql_url: str, mode: str) -> None:
    """A table that is locked whole, or one of which an index is made, which may be read all the while."""
    database = Database(postgresql_url)
    announcer = judge(database, Clock())
    announcer.tell()
    for table in ("runs", "evaluations", "evaluation_helpers", "datasets"):
        with database.writing() as session:
            session.execute(text(f"LOCK TABLE {table} IN {mode} MODE"))
            telling = threading.Thread(target=announcer.tell)
            telling.start()
            telling.join(0.3)
            assert telling.is_alive(), table
        telling.join()
    database.close()


def test_leases_say_nothing_after_all_stood_still(sqlite_url: str) -> None:
    """A machine that was frozen finds every lease run out, those of its own jobs too; so at once, and for a while."""
    database, clock = Database(sqlite_url), Clock()
    announcer, moment = judge(database, clock), now(database)
    announcer.tell()
    judges_after(announcer, clock, moment)
    announcer.tell()
    assert announcer.may_judge(moment)
    # Its own clock went on, as where its processes were stopped.
    clock.now += 60
    assert not announcer.may_judge(moment)
    announcer.tell()
    assert judges_after(announcer, clock, moment) == 3
    # The database's alone did, as where the machine slept, or somebody set it.
    announcer.tell()
    assert not announcer.may_judge(now(database) + 60)
    clock.now -= 60
    announcer.tell()
    assert judges_after(announcer, clock, moment) == 3
    database.close()


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
    with telling_hangs(database, announcer) as telling:
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

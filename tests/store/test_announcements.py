"""What was committed is heard of without asking the database."""

import logging
from threading import Event
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from sqlalchemy import event
from sqlalchemy.exc import IntegrityError

from store import announcements, events
from store.announcements import Announcements
from store.database import Database
from store.events import News
from tests.e2e.system import await_that


def note(database: Database, kind: Any = "said") -> None:
    with database.writing() as session:
        events.tell(session, News("note", kind, "run_1", "Something."))


_LISTENERS = "FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND datname = current_database()"


def end_listening(url: str) -> int:
    """Have the server end whoever listens to it, as a firewall or a failover may."""
    with psycopg.connect(url, autocommit=True) as connection:
        return len(connection.execute(f"SELECT pg_terminate_backend(pid, 60000) {_LISTENERS}").fetchall())


def await_no_listener(url: str) -> None:
    """The server sees only after a moment that a connection was closed."""
    with psycopg.connect(url, autocommit=True) as connection:
        await_that(lambda: connection.execute(f"SELECT pid {_LISTENERS}").fetchall() == [])


def listening(hears: Announcements) -> int | None:
    """Its number as soon as it is there."""
    await_that(lambda: hears.count() is not None)
    return hears.count()


def tried(hears: Announcements) -> None:
    """Have what is tried be tried to its end."""
    assert hears.count() is None
    await_that(lambda: not hears._is_trying)


def test_each_commit_of_events_is_heard_and_nothing_else(database: Database, database_url: str) -> None:
    """Nothing is asked for it; what is rolled back is not told."""
    writer = Database(database_url)
    hears = Announcements(database, events.TURN)
    seen = listening(hears)
    asked: list[Any] = []
    for engine in (database._engine, database._apart):
        event.listen(engine, "before_cursor_execute", lambda *told: asked.append(told[2]))
    assert [hears.count() for _ in range(3)] == [seen] * 3
    with pytest.raises(IntegrityError):
        note(writer, kind=None)
    assert hears.count() == seen
    for _ in range(3):
        note(writer)
        await_that(lambda before=seen: hears.count() != before)
        seen = hears.count()
    assert asked == []
    hears.close()
    writer.close()


class Clock:
    """What the announcements take for the time; it stands still."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_000.0
        monkeypatch.setattr(announcements, "time", SimpleNamespace(monotonic=lambda: self.now))


def test_a_connection_that_is_lost_is_made_again(postgresql_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """At once; until it is there, nothing is known, and then the number is another one, for whatever was not heard."""
    clock = Clock(monkeypatch)
    database = Database(postgresql_url)
    hears = Announcements(database, events.TURN)
    seen = listening(hears)
    assert hears.may_be_missed
    clock.now += announcements._TRY_AGAIN_S
    assert end_listening(postgresql_url) == 1
    await_that(lambda: hears.count() is None)
    assert not hears.may_be_missed
    note(database)
    again = listening(hears)
    assert None not in {seen, again}
    assert again != seen
    hears.close()
    await_no_listener(postgresql_url)
    database.close()


def test_a_connection_that_nobody_wants_any_more_is_closed_when_it_comes(postgresql_url: str) -> None:
    """And whoever wants it again meanwhile waits for the same."""
    database = Database(postgresql_url)
    hears = Announcements(database, events.TURN)
    goes_on, made = Event(), list[Any]()

    def connect(*told: Any) -> None:
        made.append(told)
        goes_on.wait(30)

    event.listen(database._apart, "do_connect", connect)
    for _ in range(3):
        assert hears.count() is None
        hears.close()
    goes_on.set()
    await_that(lambda: not hears._is_trying)
    assert len(made) == 1
    assert not hears.may_be_missed
    await_no_listener(postgresql_url)
    database.close()


def test_a_server_that_takes_no_connection_is_not_asked_at_every_look(postgresql_url: str) -> None:
    """Then the events are to be read; nothing is raised."""
    database = Database(postgresql_url.replace("/test_", "/gone_"))
    hears = Announcements(database, events.TURN)
    made: list[Any] = []
    event.listen(database._apart, "do_connect", lambda *told: made.append(told))
    for _ in range(5):
        tried(hears)
    assert len(made) == 1
    database.close()


def test_a_server_that_says_nothing_is_asked_once_in_a_while_and_told_of_once(
    postgresql_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The pause begins when a try has ended, which may take seconds; whatever was lost is told of again."""
    clock, made, away = Clock(monkeypatch), list[float](), True
    database = Database(postgresql_url)
    hears = Announcements(database, events.TURN)

    def connect(*_: Any) -> None:
        made.append(clock.now)
        if away:
            clock.now += 5
            raise psycopg.OperationalError("connection timeout expired")

    event.listen(database._apart, "do_connect", connect)
    with caplog.at_level(logging.WARNING, announcements.__name__):
        for _ in range(3):
            for _ in range(3):
                tried(hears)
            clock.now += 29
            tried(hears)
            clock.now += 1
        assert [then - made[0] for then in made] == [0, 35, 70]
        assert len(caplog.records) == 1
        away = False
        listening(hears)
        # As soon as it is there.
        assert end_listening(postgresql_url) == 1
        await_that(lambda: hears.count() is None)
        tried(hears)
        assert len(made) == 4
        assert len(caplog.records) == 2
    database.close()


def test_other_databases_listeners_are_let_be(postgresql_url: str) -> None:
    """Tests beside this one have databases of their own on the same server."""
    with psycopg.connect(postgresql_url, dbname="postgres", autocommit=True) as other:
        other.execute("LISTEN anything")
        assert end_listening(postgresql_url) == 0
        other.execute("SELECT 1")

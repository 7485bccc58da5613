"""What the connections to a database are set to: on PostgreSQL bounds, unless the URL says otherwise."""

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from psycopg.pq import TransactionStatus
from sqlalchemy import JSON, Connection, TextClause, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from store.database import Database, engine_for_migrations, take_turn
from store.queue import turns
from tests.e2e.system import await_that

BOUNDS = {"lock_timeout": "15s", "statement_timeout": "1min", "idle_in_transaction_session_timeout": "20s"}


@pytest.fixture
def url(postgresql_url: str) -> str:
    return postgresql_url


def test_a_statement_does_not_wait_for_ever(url: str) -> None:
    """Locks, statements and pauses between them are bounded for the application, and for a migration they are not."""
    database, engine = Database(url), engine_for_migrations(url)
    with database.reading() as session, engine.connect() as connection:
        for name, bound in BOUNDS.items():
            assert session.connection().exec_driver_sql(f"SHOW {name}").scalar() == bound
            assert connection.exec_driver_sql(f"SHOW {name}").scalar() == "0"
    database.close()
    engine.dispose()


def test_who_is_stopped_in_a_turn_soon_lets_go_of_it(url: str) -> None:
    """Of claims and of events, for which all others wait; the transaction after it has its bound back."""
    database = Database(url, connections=1)
    for seconds in (5, None):
        with database.writing() as session:
            take_turn(session, "anything", let_go_after_s=seconds)
            bound = session.connection().exec_driver_sql("SHOW idle_in_transaction_session_timeout").scalar()
        assert bound == (f"{seconds}s" if seconds else BOUNDS["idle_in_transaction_session_timeout"])
    with database.writing() as session:
        turns.claim_next(session, "worker", 60)
        assert session.connection().exec_driver_sql("SHOW idle_in_transaction_session_timeout").scalar() == "5s"
    database.close()


def test_a_transaction_that_the_server_ended_is_as_if_the_database_was_away(url: str) -> None:
    """Of a process that was stopped in it: who is patient does it again, and others are told what they can wait for."""
    database, other = Database(url), Database(url)
    tried: list[int] = []

    def work(session: Session) -> None:
        tried.append(session.scalars(text("SELECT pg_backend_pid()")).one())
        if len(tried) == 1:
            take_turn(session, "anything", let_go_after_s=0.01)
            await_that(
                lambda: not _count(other, text("SELECT count(*) FROM pg_stat_activity WHERE pid = :name"), tried[0])
            )

    with pytest.raises(OperationalError, match="idle-in-transaction"):
        database.write(work, patience_s=0)
    tried.clear()
    database.write(work, patience_s=90)
    assert len(tried) == 2
    database.close()
    other.close()


@pytest.mark.parametrize("kept", [1, 3])
def test_no_more_connections_stay_than_are_kept(url: str, kept: int) -> None:
    """Three at once are served, and the server has room for others afterwards."""
    marked = f"{url}&application_name=kept-{kept}"
    database, other = Database(marked, kept=kept), Database(url)
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(database.reading()).execute(text("SELECT 1"))
    here = text("SELECT count(*) FROM pg_stat_activity WHERE application_name = :name")
    await_that(lambda: _count(other, here, f"kept-{kept}") == kept)
    database.close()
    other.close()


def _count(database: Database, query: TextClause, name: str | int) -> int:
    with database.reading() as session:
        return int(session.scalar(query, {"name": name}) or 0)


def test_a_look_begins_no_transaction(url: str) -> None:
    """That would be two more questions; whoever reads or writes on the same connection next has one."""
    database = Database(url, connections=1)
    one = text("SELECT 1")
    for block, state in (
        (database.looking, TransactionStatus.IDLE),
        (database.reading, TransactionStatus.INTRANS),
        (database.looking, TransactionStatus.IDLE),
        (database.writing, TransactionStatus.INTRANS),
    ):
        with block() as session:
            session.execute(one)
            driver: Any = session.connection().connection.dbapi_connection
            assert driver.info.transaction_status == state
    database.close()


def test_what_the_url_says_stands(url: str) -> None:
    """Its options take the place of ours."""
    database = Database(f"{url}&options=-c%20lock_timeout%3D7s")
    with database.reading() as session:
        assert session.connection().exec_driver_sql("SHOW lock_timeout").scalar() == "7s"
        assert session.connection().exec_driver_sql("SHOW statement_timeout").scalar() == "0"
    database.close()


def test_a_look_at_once_sees_what_is_committed_and_waits_for_nobody(sqlite_url: str, url: str) -> None:
    """Each is a view of its own; where the rows are not to be had, or in another kind of database, there is none."""
    database, other = Database(sqlite_url), Database(url)

    def count(connection: Connection) -> int:
        return connection.execute(text("SELECT count(*) FROM looked_at")).scalar_one()

    assert database.at_once(count) is None
    with database.writing() as session:
        session.execute(text("CREATE TABLE looked_at (content INTEGER)"))
    assert database.at_once(count) == 0
    with database.writing() as session:
        session.execute(text("INSERT INTO looked_at VALUES (1)"))
        assert database.at_once(count) == 0
    assert database.at_once(count) == 1
    with pytest.raises(LookupError):
        database.at_once(lambda _: {}["what the caller itself raises"])
    assert database.at_once(count) == 1
    assert other.at_once(count) is None
    database.close()
    other.close()


def test_the_log_of_writes_shrinks_again(sqlite_url: str) -> None:
    """A reader that holds one view for long lets SQLite's log grow; it is cut after the reader has gone."""
    log = Path(sqlite_url.removeprefix("sqlite:///") + "-wal")
    database = Database(sqlite_url)
    with database.writing() as session:
        session.execute(text("CREATE TABLE filling (content BLOB)"))
    with database.reading() as reader:
        reader.execute(text("SELECT count(*) FROM filling"))
        for _ in range(8):
            with database.writing() as session:
                session.execute(text("INSERT INTO filling VALUES (zeroblob(1000000))"))
        assert log.stat().st_size > 8_000_000
    for _ in range(2):
        with database.writing() as session:
            session.execute(text("INSERT INTO filling VALUES (x'00')"))
    assert log.stat().st_size <= 4 << 20
    database.close()


def test_json_is_read_as_it_was_written(sqlite_url: str) -> None:
    """A lone surrogate too, which Python's own encoder escapes, and no number loses a digit."""
    written = '{"lone": "\\ud800", "exact": [0.1, 1e-17, 18446744073709551617, null], "nested": {"a": []}}'
    database = Database(sqlite_url)
    with database.reading() as session:
        found = session.scalar(text("SELECT :json AS found").bindparams(json=written).columns(found=JSON()))
    assert found == json.loads(written)
    database.close()


def test_what_others_write_is_news_at_once(sqlite_url: str, url: str) -> None:
    """Whoever wrote it, by this object or another process's, and reading is no news; PostgreSQL has no such number."""
    ours, others = Database(sqlite_url), Database(sqlite_url)
    seen = [ours.changes()]
    for database in (ours, others):
        with database.reading() as session:
            session.execute(text("SELECT count(*) FROM runs"))
        assert ours.changes() == seen[-1]
        with database.writing() as session:
            session.execute(text("CREATE TABLE IF NOT EXISTS news (content INTEGER)"))
            session.execute(text("INSERT INTO news VALUES (1)"))
            assert ours.changes() == seen[-1]
        seen.append(ours.changes())
    assert len(set(seen)) == 3
    ours.close()
    others.close()
    database = Database(url)
    assert database.changes() is None
    database.close()

"""Streams on PostgreSQL: it tells of events, and is asked for them where it does not."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, insert

from service.answering.streams import Streams, Topic
from store import announcements
from store.accounts.tokens import Caller
from store.database import Database, db_now
from store.models import Event
from tests.e2e.system import await_that
from tests.service.answering.streamed import (
    TYPES,
    collect,
    fail_the_look_for_logins,
    frames,
    ids,
    note,
    quick,
    reader,
)
from tests.store.test_announcements import await_no_listener, end_listening


@pytest.fixture
def database(postgresql_url: str) -> Iterator[Database]:
    database = Database(postgresql_url)
    yield database
    database.close()


def note_in_silence(database: Database, subject: str) -> None:
    """An event that nobody announces."""
    said = {"type": "note", "kind": "said", "subject": subject, "message": "Something.", "data": {}}
    with database.writing() as session:
        session.execute(insert(Event).values(created_at=db_now(), **said))


def reads(database: Database) -> list[str]:
    """What is asked of it for new events from now on."""
    asked: list[str] = []

    def see(*told: Any) -> None:
        if "FROM events" in told[2] and "events.id > " in told[2]:
            asked.append(told[2])

    event.listen(database._engine, "before_cursor_execute", see)
    return asked


async def followed(streams: Streams, until: str, caller: Caller | None = None) -> "asyncio.Task[str]":
    """A stream of everything that is told by now of what is new."""
    following = asyncio.create_task(collect(streams.answer(Topic(TYPES), None, caller), until))
    await asyncio.to_thread(await_that, lambda: sum(map(len, streams._told.values())) == 1)
    await asyncio.to_thread(await_that, lambda: streams._announcements.may_be_missed)
    return following


def test_the_table_is_read_where_something_was_announced(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often it is looked; it is the announcement that has it read, and not the look for what may be missed."""

    async def follow() -> tuple[str, list[int]]:
        asked, looks, counts = reads(database), [], []
        streams = quick(database, beat_s=10, read_anyway_s=3_600)
        count = streams._announcements.count

        def look() -> int | None:
            looks.append(count())
            return looks[-1]

        monkeypatch.setattr(streams._announcements, "count", look)
        following = await followed(streams, "run_2")
        # Until it is listened to, the table is read at every look.
        enough = len(looks) + 2
        await asyncio.to_thread(await_that, lambda: len(looks) > enough)
        asked.clear()
        for subject in ("", "run_1", "run_2"):
            if subject:
                await asyncio.to_thread(note, database, subject)
            enough = len(looks) + 20
            await asyncio.to_thread(await_that, lambda enough=enough: following.done() or len(looks) > enough)
            counts.append(len(asked))
        return await following, counts

    text, (idle, one, two) = asyncio.run(follow())
    assert len(ids(frames(text))) == 2
    assert idle == 0
    # What is announced between a look and its query is asked for twice.
    assert one - idle in {1, 2}
    assert two - one in {1, 2}


def test_what_nobody_announced_is_found_anyway(database: Database) -> None:
    """As where a connection is lost of which neither side was told; later, and without reading at every look."""

    async def follow() -> str:
        following = await followed(quick(database, beat_s=10, read_anyway_s=0.1), "run_2")
        await asyncio.to_thread(note_in_silence, database, "run_2")
        async with asyncio.timeout(60):
            return await following

    assert len(ids(frames(asyncio.run(follow())))) == 1


def test_what_nobody_announced_is_told_where_the_look_for_logins_failed(
    database: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It is read again after that, though nothing else is to be missed for long."""
    ada = reader(database, tmp_path / "secret.key")

    async def follow() -> tuple[str, list[str]]:
        streams = quick(database, beat_s=10, logins_every_s=0, read_anyway_s=0.1)
        found: list[Any] = []
        new = streams._new

        def look() -> Any:
            news = new()
            if news:
                found.extend(news)
                monkeypatch.setattr(streams, "_read_anyway_s", 3_600)
            return news

        monkeypatch.setattr(streams, "_new", look)
        following = await followed(streams, "run_2", ada)
        failed = fail_the_look_for_logins(database, found)
        await asyncio.to_thread(note_in_silence, database, "run_2")
        async with asyncio.timeout(60):
            return await following, failed

    text, failed = asyncio.run(follow())
    assert len(failed) == 1
    assert len(ids(frames(text))) == 1


def test_a_server_that_takes_no_new_connection_for_long_holds_up_no_event(database: Database) -> None:
    """As where a pooler is full: what is in use works, and the table is read at every look meanwhile."""
    goes_on, made = threading.Event(), list[Any]()

    def connect(*told: Any) -> None:
        made.append(told)
        goes_on.wait(60)

    async def follow() -> str:
        streams = quick(database, beat_s=10)
        following = asyncio.create_task(collect(streams.answer(Topic(TYPES), None, None), "run_2"))
        await asyncio.to_thread(await_that, lambda: sum(map(len, streams._told.values())) == 1 and len(made) == 1)
        for subject in ("run_1", "run_2"):
            await asyncio.to_thread(note, database, subject)
        async with asyncio.timeout(20):
            return await following

    event.listen(database._apart, "do_connect", connect)
    try:
        assert len(ids(frames(asyncio.run(follow())))) == 2
        assert len(made) == 1
    finally:
        goes_on.set()


@pytest.mark.parametrize("comes_back", [True, False])
def test_a_listening_connection_that_is_lost_costs_no_event(
    database: Database, postgresql_url: str, monkeypatch: pytest.MonkeyPatch, comes_back: bool
) -> None:
    """What is told meanwhile is read, and whoever listens is told of what comes later as well."""
    monkeypatch.setattr(announcements, "_TRY_AGAIN_S", 0.0 if comes_back else 3_600.0)

    async def follow() -> str:
        streams = quick(database, beat_s=10, read_anyway_s=3_600)
        following = await followed(streams, "run_2")
        assert await asyncio.to_thread(end_listening, postgresql_url) == 1
        for subject in ("run_1", "run_2"):
            await asyncio.to_thread(note, database, subject)
        async with asyncio.timeout(60):
            return await following

    assert len(ids(frames(asyncio.run(follow())))) == 2


def test_nobody_is_listened_to_for_nobody(database: Database, postgresql_url: str) -> None:
    """The connection goes with the last listener, and is there again with the next."""

    async def follow(streams: Streams) -> None:
        following = await followed(streams, "run_1")
        await asyncio.to_thread(note, database, "run_1")
        await following
        await asyncio.to_thread(await_that, lambda: not streams._announcements.may_be_missed)

    async def twice() -> None:
        streams = quick(database, beat_s=10, read_anyway_s=3_600)
        for _ in range(2):
            await follow(streams)

    asyncio.run(twice())
    await_no_listener(postgresql_url)

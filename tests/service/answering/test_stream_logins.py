"""Streams of those who have logged in, whose tokens and sessions are looked at while they are open."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from gauntlet.spec.asked.tokens import TokenRequest
from service.answering.streams import Topic
from service.settings import ServiceSettings
from store.accounts import secret_key, sessions, tokens
from store.accounts.tokens import Caller
from store.database import Database
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


@pytest.fixture
def database(settings: ServiceSettings) -> Iterator[Database]:
    database = Database(settings.database_url)
    yield database
    database.close()


@pytest.mark.parametrize("by", ["token", "session"])
def test_a_revoked_login_ends_its_streams(settings: ServiceSettings, database: Database, by: str) -> None:
    """Of a token and of a browser's session alike; the streams of others go on."""
    key = secret_key.read_or_make(settings.secret_key_file)
    with database.writing() as session:
        callers = []
        for owner in ("ada", "bob"):
            _, text = tokens.create(session, key, TokenRequest(owner=owner, scope="read"))
            caller = tokens.caller(session, key, text)
            assert caller is not None
            callers.append(sessions.begin(session, key, caller, lasts_s=60).caller if by == "session" else caller)

    def revoke(caller: Caller) -> None:
        with database.writing() as session:
            if caller.session is None:
                tokens.revoke(session, caller.token)
            else:
                sessions.end(session, caller.session)

    async def follow() -> str:
        streams = quick(database)
        theirs, others = (asyncio.create_task(collect(streams.answer(Topic(TYPES), None, each))) for each in callers)
        await asyncio.to_thread(await_that, lambda: len(streams) == 2)
        await asyncio.to_thread(revoke, callers[0])
        text = await theirs
        await asyncio.sleep(0.05)
        assert not others.done()
        others.cancel()
        return text

    assert "event: end" not in asyncio.run(follow())


def test_what_was_read_when_the_look_for_logins_failed_is_told(
    settings: ServiceSettings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once, and without waiting for anything else to be written."""
    caller = reader(database, settings.secret_key_file)
    found: list[Any] = []

    async def follow() -> tuple[str, list[str]]:
        streams = quick(database, logins_every_s=0)
        new = streams._new

        def look() -> Any:
            news = new()
            found.extend(news)
            return news

        monkeypatch.setattr(streams, "_new", look)
        following = asyncio.create_task(collect(streams.answer(Topic(TYPES), None, caller), "run_2"))
        await asyncio.to_thread(await_that, lambda: sum(map(len, streams._told.values())) == 1)
        failed = fail_the_look_for_logins(database, found)
        await asyncio.to_thread(note, database, "run_2")
        async with asyncio.timeout(60):
            return await following, failed

    text, failed = asyncio.run(follow())
    assert len(failed) == 1
    assert len(ids(frames(text))) == 1

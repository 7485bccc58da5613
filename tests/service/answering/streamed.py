"""Streams that the tests follow, and what is read off them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from gauntlet.resources import EventType
from gauntlet.spec.asked.tokens import TokenRequest
from service.answering.streams import Streams
from store import events
from store.accounts import secret_key, tokens
from store.accounts.tokens import Caller
from store.database import Database
from store.events import News

TYPES: frozenset[EventType] = frozenset({"status", "epoch", "progress", "note", "alarm"})
STREAM = {"Accept": "text/event-stream"}


def note(database: Database, subject: str, experiment: str | None = None, *, times: int = 1) -> None:
    """Have it written that something was said of `subject`."""
    with database.writing() as session:
        events.tell(session, *times * [News("note", "said", subject, "Something.", experiment)])


def frames(text: str) -> list[dict[str, str]]:
    """The frames of a stream, each its fields; comments are left out."""
    parts = [dict(line.split(": ", 1) for line in part.splitlines() if line[0] != ":") for part in text.split("\n\n")]
    return [part for part in parts if part]


def ids(found: list[dict[str, str]]) -> list[int]:
    """Of its events, in the order in which they came."""
    return [int(frame["id"]) for frame in found if "data" in frame and "id" in frame]


async def collect(stream: Any, until: str = "event: end") -> str:
    """What comes until that text does."""
    text = ""
    async for piece in stream.body_iterator:
        text += piece.decode()
        if until in text:
            break
    await stream.body_iterator.aclose()
    return text


def quick(database: Database, **more: float) -> Streams:
    """Streams that look often."""
    return Streams(database, **{"look_every_s": 0.005, "beat_s": 0.02, "logins_every_s": 0.005, **more})  # type: ignore[arg-type]  # floats, all


def reader(database: Database, key_file: Path) -> Caller:
    """Someone who has a token to read."""
    key = secret_key.read_or_make(key_file)
    with database.writing() as session:
        _, text = tokens.create(session, key, TokenRequest(owner="ada", scope="read"))
        caller = tokens.caller(session, key, text)
    assert caller is not None
    return caller


def fail_the_look_for_logins(database: Database, found: Sequence[Any]) -> list[str]:
    """Have it fail once, as soon as something is found: what was asked then."""
    failed: list[str] = []

    def fail(*told: Any) -> None:
        if found and not failed and "FROM tokens" in told[2]:
            failed.append(told[2])
            raise OperationalError(told[2], {}, Exception("disk I/O error"))

    event.listen(database._engine, "before_cursor_execute", fail)
    return failed

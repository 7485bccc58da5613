"""Streams that the tests follow, and what is read off them."""

from typing import Any

from gauntlet.resources import EventType
from service.answering.streams import Streams
from store import events
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

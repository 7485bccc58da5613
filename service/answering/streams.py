"""Events as they happen: one reader of the table in each process, for all who listen to it.

Whoever names the last event that it knows is sent those after it, each once. What a listener missed is read for it
alone, page by page as it takes them; then it joins those whom the reader tells. One that takes too little is let go,
and comes back with the last event that it knows.
"""

import asyncio
import json
import logging
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, TypeVar

import anyio
from sqlalchemy.exc import OperationalError

from gauntlet.resources import TERMINAL, EventType
from service.errors import busy
from service.transport.lasting import Lasting
from store import events
from store.accounts import sessions, tokens
from store.accounts.tokens import Caller
from store.announcements import Announcements
from store.database import Database
from store.models import Event
from store.shown import standings

logger = logging.getLogger(__name__)

MEDIA_TYPE = "text/event-stream"
MOST_LISTENERS = 2_000
# What a listener does not take of its events is kept up to so many bytes: some thousand events.
MOST_WAITING = 1 << 20
_PAGE = 500
_RETRY_S = 1.0
# Beside the reader, so many listeners at once are read what they missed.
_CATCHING_UP = 4
# So many are told in one turn of the loop: each then writes to its connection, for which everything else waits.
_AT_ONCE = 25
_ENDS = TERMINAL | {"deleted"}
_HEARTBEAT = b": still here\n\n"

T = TypeVar("T")


@dataclass(frozen=True)
class Topic:
    """What a stream tells of: the events of those types of an experiment with its jobs, of one subject, or all."""

    types: frozenset[EventType]
    experiment: str | None = None
    subject: str | None = None

    @property
    def ends_with(self) -> str | None:
        """What the stream ends with the end of."""
        return self.subject or self.experiment

    def is_ended_by(self, event: Event) -> bool:
        """Whether nothing more is to be waited for."""
        return event.type == "status" and event.subject == self.ends_with and event.kind in _ENDS


class Listener:
    """One stream: what waits to be sent on it, bounded."""

    def __init__(self, topic: Topic, caller: Caller | None) -> None:
        self.topic = topic
        self.caller = caller
        self.position = 0
        self.is_over = False
        self._frames: list[bytes] = []
        self._size = 0
        self._woken = asyncio.Event()

    def tell(self, event: Event, frame: bytes) -> None:
        """Send an event that it does not know, if it is one of its types."""
        if event.id <= self.position or self.is_over:
            return
        self.position = event.id
        if event.type in self.topic.types:
            self._add(frame)
        if self.topic.is_ended_by(event):
            self._add(_end(event.kind))
            self.is_over = True

    def let_go(self) -> None:
        """Send nothing more, not what waits either."""
        self.is_over = True
        self._frames.clear()
        self._woken.set()

    async def take(self, within_s: float) -> bytes:
        """What came since the last time; a comment where nothing does for so long, nothing once it is over."""
        if not self._frames and not self.is_over:
            try:
                async with asyncio.timeout(within_s):
                    await self._woken.wait()
            except TimeoutError:
                return _HEARTBEAT
        self._woken.clear()
        frames, self._frames, self._size = self._frames, [], 0
        return b"".join(frames)

    def _add(self, frame: bytes) -> None:
        self._frames.append(frame)
        self._size += len(frame)
        if self._size > MOST_WAITING:
            self.let_go()
        self._woken.set()


class _Standing(NamedTuple):
    """The newest event, and how the stream's subject has ended by then, if it has."""

    newest: int
    ended: str | None


class _News(NamedTuple):
    """An event, and how it is sent."""

    row: Event
    frame: bytes


class Streams:
    """All streams of this process."""

    def __init__(
        self,
        database: Database,
        *,
        most: int = MOST_LISTENERS,
        look_every_s: float = 0.1,
        read_anyway_s: float = 2.0,
        beat_s: float = 15.0,
        logins_every_s: float = 5.0,
    ) -> None:
        self._database = database
        self._most = most
        self._look_every_s = look_every_s
        self._read_anyway_s = read_anyway_s
        self._announcements = Announcements(database, events.TURN)
        self._beat_s = beat_s
        self._logins_every_s = logins_every_s
        self._listeners: set[Listener] = set()
        self._told: defaultdict[str | None, set[Listener]] = defaultdict(set)
        self._newest = 0
        self._reader: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()
        self._reading = anyio.CapacityLimiter(1)
        self._catching_up = anyio.CapacityLimiter(_CATCHING_UP)

    def __len__(self) -> int:
        return len(self._listeners)

    def close(self) -> None:
        """End all streams, whose clients come back to the next process."""
        for listener in list(self._listeners):
            listener.let_go()

    def answer(self, topic: Topic, after: int | None, caller: Caller | None) -> Lasting:
        """A stream of what comes after the event `after`; None is from the first one, or of everything from now on.

        Raises:
            ServiceError: 429, there are enough.
        """
        if len(self) >= self._most:
            raise busy(f"{self._most} streams of events are open; try again in a while.", retry_after_s=10)
        listener = Listener(topic, caller)
        # Proxies that gather an answer before they hand it on are asked not to.
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return Lasting(self._follow(listener, after), listener.let_go, headers, MEDIA_TYPE)

    async def _follow(self, listener: Listener, after: int | None) -> AsyncGenerator[bytes]:
        topic = listener.topic
        self._listeners.add(listener)
        try:
            await self._start()
            if after is None and topic.ends_with is None:
                # From now on: after what the reader has read. Hundreds that come at once ask the database nothing.
                standing = _Standing(self._newest, None)
                listener.position = standing.newest
            else:
                standing = await self._read(partial(self._standing, topic))
                # Of events that were lost, as where a backup was restored, it may know more than there are.
                listener.position = min(after or 0, standing.newest)
            # An id without an event: whoever loses the connection before the first one goes on from here.
            yield b"retry: 1000\nid: %d\n\n" % listener.position
            async with aclosing(self._missed(listener, standing)) as missed:
                async for frames in missed:
                    yield frames
            # Nothing is awaited between the last look at what was missed and this.
            self._told[topic.ends_with].add(listener)
            while frames := await listener.take(self._beat_s):
                yield frames
        except OperationalError as error:
            # Whoever comes back is told so, or finds it there again.
            logger.warning("A stream ends: the events that it missed cannot be read: %s", error)
        finally:
            self._listeners.discard(listener)
            self._told[topic.ends_with].discard(listener)
            if not self._told[topic.ends_with]:
                del self._told[topic.ends_with]

    async def _missed(self, listener: Listener, standing: _Standing) -> AsyncGenerator[bytes]:
        """What the reader has read already and the listener does not know."""
        topic = listener.topic
        while not listener.is_over:
            newest = standing.newest if standing.ended else self._newest
            if listener.position >= newest:
                break
            rows = [row for row in await self._read(partial(self._page, listener)) if row.id <= newest]
            # An end before the standing was left again, as by a retry.
            ends = (count for count, row in enumerate(rows, 1) if row.id > standing.newest and topic.is_ended_by(row))
            known = rows[: next(ends, None)]
            listener.position = known[-1].id if len(known) == _PAGE else newest
            for row in known:
                if row.type in topic.types:
                    yield _frame(row)
            if known and known[-1].id > standing.newest and topic.is_ended_by(known[-1]):
                yield _end(known[-1].kind)
                listener.is_over = True
        if standing.ended and not listener.is_over:
            yield _end(standing.ended)
            listener.is_over = True

    async def _start(self) -> None:
        """Have the reader run, from the newest event on."""
        async with self._starting:
            if self._reader is None or self._reader.done():
                self._newest = await self._read(self._newest_id)
                self._reader = asyncio.create_task(self._look())

    async def _look(self) -> None:
        """Read what is new, again and again while anybody listens, and tell of it.

        Where nothing was announced the database is not read: six to eight times less of the processor on SQLite,
        measured with one listener, and a twentieth of the statements on PostgreSQL.
        """
        logins_seen = read_at = time.monotonic()
        changes: int | None = None
        try:
            while self._listeners:
                try:
                    # Before the rows are read: what is written meanwhile is another change.
                    now = self._announcements.count()
                    is_read = now is not None and now == changes
                    if is_read and self._announcements.may_be_missed:
                        is_read = time.monotonic() - read_at < self._read_anyway_s
                    news: list[_News] = []
                    if not is_read:
                        news = await anyio.to_thread.run_sync(self._new, limiter=self._reading)
                        read_at = time.monotonic()
                    if time.monotonic() - logins_seen >= self._logins_every_s:
                        await self._let_go_of_revoked()
                        logins_seen = time.monotonic()
                except OperationalError as error:
                    logger.warning("The events cannot be read, trying again: %s", error)
                    # What was read and then not told, as where the look for logins fails, is read again.
                    changes = None
                    await asyncio.sleep(_RETRY_S)
                    continue
                await self._tell(news)
                changes = None if len(news) == _PAGE else now
                await asyncio.sleep(0 if len(news) == _PAGE else self._look_every_s)
        except Exception:
            logger.exception("The reader of events failed; its listeners come back.")
            self.close()
        finally:
            self._announcements.close()

    async def _tell(self, news: Sequence[_News]) -> None:
        """Tell all listeners of it that there are now; who joins them meanwhile is read it."""
        if not news:
            return
        self._newest = news[-1].row.id
        about: defaultdict[str | None, list[_News]] = defaultdict(list)
        for one in news:
            for key in {None, one.row.experiment_id, one.row.subject}:
                about[key].append(one)
        listening = [(each, of_it) for key, of_it in about.items() for each in self._told.get(key, ())]
        for number, (listener, of_it) in enumerate(listening, 1):
            for one in of_it:
                listener.tell(one.row, one.frame)
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)

    async def _let_go_of_revoked(self) -> None:
        callers = {listener.caller for listener in self._listeners if listener.caller is not None}
        if not callers:
            return
        usable = await anyio.to_thread.run_sync(self._usable, callers, limiter=self._reading)
        for listener in list(self._listeners):
            if listener.caller is not None and listener.caller not in usable:
                listener.let_go()

    async def _read(self, work: Callable[[], T]) -> T:
        return await anyio.to_thread.run_sync(work, limiter=self._catching_up)

    def _newest_id(self) -> int:
        with self._database.reading() as session:
            return events.newest(session)

    def _standing(self, topic: Topic) -> _Standing:
        with self._database.reading() as session:
            newest = events.newest(session)
            if topic.ends_with is None:
                return _Standing(newest, None)
            status = standings.of_subject(session, topic.ends_with) or "deleted"
        return _Standing(newest, status if status in _ENDS else None)

    def _new(self) -> list[_News]:
        with self._database.reading() as session:
            rows = events.page(session, after=self._newest, limit=_PAGE).rows
            return [_News(row, _frame(row)) for row in rows]

    def _page(self, listener: Listener) -> Sequence[Event]:
        subject, experiment = listener.topic.subject, listener.topic.experiment
        with self._database.reading() as session:
            found = events.page(session, subject=subject, experiment=experiment, after=listener.position, limit=_PAGE)
        return found.rows

    def _usable(self, callers: set[Caller]) -> set[Caller]:
        with self._database.reading() as session:
            opening = tokens.usable(session, {caller.token for caller in callers})
            lasting = sessions.lasting(session, {caller.session for caller in callers if caller.session is not None})
        return {
            caller
            for caller in callers
            if caller.token in opening and (caller.session is None or caller.session in lasting)
        }


def _frame(row: Event) -> bytes:
    return f"id: {row.id}\nevent: {row.type}\ndata: {events.show(row).model_dump_json()}\n\n".encode()


def _end(status: str) -> bytes:
    """The last of a stream: its subject has ended, and a client need not come back."""
    return f"event: end\ndata: {json.dumps({'status': status})}\n\n".encode()

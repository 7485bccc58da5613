"""Connections, bounded: in number, in time, and in what one may make the server do before others have their turn.

uvicorn's own protocol waits for ever for a request to come and for an answer to be taken, reads 256 kB at once whatever
they are, writes its refusals as plain text, and lets both of two contradicting lengths of a body stand.
"""

import asyncio
import json
import logging
import math
import time
import uuid
from collections.abc import Callable, Sized
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import Any, cast

import h11
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from gauntlet.spec.reading.messages import printable
from service.errors import MEDIA_TYPE, problem
from service.transport.headers import with_manners
from service.transport.pace import Pace

logger = logging.getLogger(__name__)

_MOST_HEADERS = 100
_LONGEST_HEAD = 16_384
# Measured on a busy core: h11 takes 11 ms for 8 kB of headers or 26 ms for 8 kB in chunks of one byte, and everything
# waits meanwhile.
_READ_AT_ONCE = 8_192
_READ_AT_ONCE_OF_KNOWN_LENGTH = 262_144
_TELL_EVERY_S = 60.0
# Read and dropped, so that a client that sends all before it reads, as most libraries do, learns why it is refused.
_LONGEST_REST = 64 << 20
# To begin with a request takes a third of a millisecond, to end a connection half as much. Of 50 that came at once each
# turn of the loop did a step of all, and whoever asked for anything else waited for several such turns.
_BEGUN_AT_ONCE = 4
_ENDED_AT_ONCE = 16


class Garbled:
    """How often what came was no HTTP: told when that begins, and then at most once a minute.

    What came is not told: it may be a request with a token, cut in two.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._told = -math.inf
        self._times = 0

    def note(self) -> None:
        """It was, once more."""
        self._times += 1
        if self._clock() - self._told >= _TELL_EVERY_S:
            logger.warning("What was received is no HTTP; times since this was told last: %d.", self._times)
            self._told, self._times = self._clock(), 0


def _of_faults() -> logging.Logger:
    """The logger of uvicorn without its warnings: any client can bring about each as often as it likes."""
    faults = logging.getLogger("uvicorn.error.faults")
    faults.setLevel(logging.ERROR)
    return faults


@dataclass
class Crowd:
    """All connections of a server: how many there may be, and who waits longest for its client to ask something."""

    most: int
    apart: Sized = ()
    """Connections that are bounded elsewhere, such as streams, and not counted here."""
    head_s: float = 15.0
    """How long a client may take to send a request's head, or what is left of a body that was answered already."""
    stall_s: float = 30.0
    """How long a client may take nothing of an answer."""
    waiting: dict["Connection", None] = field(default_factory=dict)
    at_once: frozenset[str] = frozenset()
    """Paths that are answered before all others that came together with them."""
    garbled: Garbled = field(default_factory=Garbled)
    faults: logging.Logger = field(default_factory=_of_faults)
    beginnings: Pace = field(default_factory=lambda: Pace(_BEGUN_AT_ONCE))
    endings: Pace = field(default_factory=lambda: Pace(_ENDED_AT_ONCE))

    def protocol(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> "Connection":
        """A connection of this crowd, made as uvicorn makes its own."""
        return Connection(config, server_state, app_state, _loop, crowd=self)

    async def answer(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Have the app answer a request in its turn."""
        if scope["path"] not in self.at_once:
            await self.beginnings.turn()
        await app(scope, receive, send)


class _Requests(h11.Connection):
    """h11's parser, which also refuses what may be read in two ways and tells when a head has come."""

    def __init__(self, head_came: Callable[[h11.Request], None]) -> None:
        super().__init__(h11.SERVER, max_incomplete_event_size=_LONGEST_HEAD)
        self._head_came = head_came
        self.fault = h11.RemoteProtocolError("nothing came")

    def forget(self) -> None:
        """Let go of whom it tells, and of what it refused."""
        self._head_came = _nobody
        self.fault = self.fault.with_traceback(None)

    def next_event(self) -> Any:
        try:
            event = super().next_event()
            if isinstance(event, h11.Request):
                _require_plain(event)
                self._head_came(event)
        except h11.RemoteProtocolError as fault:
            self.fault = fault
            raise
        return event


def _nobody(_request: h11.Request) -> None:
    """Be told of a head that came after its connection had ended."""


def _require_plain(request: h11.Request) -> None:
    names = {name for name, _ in request.headers}
    if b"transfer-encoding" in names and (b"content-length" in names or request.http_version < b"1.1"):
        raise h11.RemoteProtocolError("the body's length is told in two ways", error_status_hint=400)
    if len(list(request.headers)) > _MOST_HEADERS:
        raise h11.RemoteProtocolError(f"more than {_MOST_HEADERS} headers", error_status_hint=431)


class Connection(H11Protocol):
    """One connection, from its first byte to its end."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        crowd: Crowd,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.conn: _Requests = _Requests(self._head_came)
        self.app = partial(crowd.answer, self.app)
        self.logger = crowd.faults
        self._crowd = crowd
        self._rest = 0
        self._patience: asyncio.TimerHandle | None = None
        self._stall: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        self._line = _Unhurried(transport, self)
        super().connection_made(cast("asyncio.Transport", self._line))
        if len(self.connections) - len(self._crowd.apart) > self._crowd.most and not self._make_room():
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, "busy", "Too many connections are open; try again.")
            return
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        self._stop_stalling()
        self._crowd.endings.soon(partial(self._end, exc))

    def _end(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._unset_keepalive_if_required()
        # It would hold itself by each of them, 40 objects, and no search finds what was let be (see `garbage`).
        self.cycle = None  # type: ignore[assignment]  # nothing more comes that asks for it
        self.conn.forget()
        self._line.forget()

    def data_received(self, data: bytes) -> None:
        if self.is_answered_early or self.transport.is_closing():
            self._rest += len(data)
            if self._rest > _LONGEST_REST:
                self.transport.abort()
                return
        if not self.transport.is_closing():
            super().data_received(data)

    @property
    def is_answered_early(self) -> bool:
        """Whether what still comes belongs to a request that was answered before its end, or can be no request."""
        answered = self.conn.our_state in (h11.DONE, h11.MUST_CLOSE, h11.CLOSED)
        refused = self.conn.states == {h11.SERVER: h11.MUST_CLOSE, h11.CLIENT: h11.IDLE}
        return refused or (answered and self.conn.their_state in (h11.SEND_BODY, h11.ERROR))

    def on_response_complete(self) -> None:
        self._await_head()
        super().on_response_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stall = self.loop.call_later(self._crowd.stall_s, self.transport.abort)

    def resume_writing(self) -> None:
        self._stop_stalling()
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP, or could be read in two ways; `msg` says no more than that."""
        fault = self.conn.fault
        self._crowd.garbled.note()
        detail = f"{msg.removesuffix('.')}: {printable(str(fault))}."
        self._refuse(HTTPStatus(fault.error_status_hint), "invalid-http", detail)

    def _unsupported_upgrade_warning(self) -> None:
        """Say nothing: any client can ask for another protocol as often as it likes."""

    def _make_room(self) -> bool:
        longest = next(iter(self._crowd.waiting), None)
        if longest is None:
            return False
        longest.give_way()
        return True

    def give_way(self) -> None:
        """End at once, for the sake of another."""
        self._stop_waiting()
        self.transport.abort()

    def _await_head(self) -> None:
        self._stop_waiting()
        self._crowd.waiting[self] = None
        self._rest = 0
        self._line.read_at_most(_READ_AT_ONCE)
        self._patience = self.loop.call_later(self._crowd.head_s, self._give_up)

    def _head_came(self, request: h11.Request) -> None:
        self._stop_waiting()
        self._line.expect_answer()
        if any(name == b"content-length" for name, _ in request.headers):
            self._line.read_at_most(_READ_AT_ONCE_OF_KNOWN_LENGTH)

    def _give_up(self) -> None:
        """End a connection on which no request came in time, or whose last answer is not taken."""
        if self.transport.is_closing() or self.conn.our_state is not h11.IDLE or not self.conn.trailing_data[0]:
            self.transport.abort()
        else:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, "request-timeout", "The request did not arrive in time.")

    def _stop_waiting(self) -> None:
        self._crowd.waiting.pop(self, None)
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _stop_stalling(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None

    def _refuse(self, status: HTTPStatus, kind: str, detail: str) -> None:
        """Answer in the place of the app, and close."""
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.abort()  # an answer has begun
            return
        identifier = uuid.uuid4().hex
        body = json.dumps(problem(identifier, status, kind, detail)).encode()
        told = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(body)).encode())]
        told += [(b"connection", b"close"), (b"x-request-id", identifier.encode())]
        if status == HTTPStatus.SERVICE_UNAVAILABLE:
            told.append((b"retry-after", b"2"))
        answer = h11.Response(status_code=status, headers=with_manners(told), reason=status.phrase)
        self.transport.write(
            b"".join(self.conn.send(event) or b"" for event in (answer, h11.Data(body), h11.EndOfMessage()))
        )
        self.transport.close()
        if self.cycle is not None:
            # The app may have begun with the request: it hears that its client left, and what it answers goes nowhere.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self._await_head()  # for as long as its client may take to read this


class _Unhurried:
    """asyncio's transport, which closes a connection only when its client has had time to read why.

    To close while more arrives makes the kernel reset the connection, and the client loses the answer.
    """

    def __init__(self, transport: asyncio.Transport, connection: Connection) -> None:
        self._transport = transport
        self._connection: Connection | None = connection
        self._closing = False
        self._expects_head = False
        self._head = b""

    def forget(self) -> None:
        """Let go of the connection, which has ended, and have the transport let go of itself."""
        self._connection = None
        self._transport._read_ready_cb = None  # type: ignore[attr-defined]  # noqa: SLF001  # a method of its own

    def expect_answer(self) -> None:
        """Keep the next answer's head until its body begins, or it ends, so that both go at once."""
        self._expects_head = True

    def write(self, data: bytes) -> None:
        """Send it. For each time the loop gives Python's lock away, and waits for it if others compute."""
        is_begun = self._connection is not None and self._connection.conn.our_state is h11.SEND_BODY
        if self._expects_head and is_begun:
            self._expects_head, self._head = False, data
        elif data or not is_begun:
            self._send(data)

    def _send(self, data: bytes) -> None:
        head, self._head = self._head, b""
        self._transport.write(head + data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def is_closing(self) -> bool:
        return self._closing or self._transport.is_closing()

    def close(self) -> None:
        if self._head:
            self._send(b"")
        if self._connection is None or not self._connection.is_answered_early:
            self._transport.close()
        elif not self._closing:
            self._closing = True
            # Nothing looks at it any more.
            self.read_at_most(_READ_AT_ONCE_OF_KNOWN_LENGTH)
            self._transport.resume_reading()
            try:
                self._transport.write_eof()
            except OSError:
                # Its client has reset the connection: asyncio is told of that only when it reads.
                self._transport.abort()

    def read_at_most(self, size: int) -> None:
        """Bound what is read at once, which asyncio's selector transports look up each time."""
        self._transport.max_size = size  # type: ignore[attr-defined]  # it is theirs alone

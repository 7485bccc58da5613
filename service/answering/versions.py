"""What dear answers are made of, known without making them: by it they have their tag, and are kept.

A route whose answer is made of many rows, or asked for again and again, names its `Version` as a dependency. Then a
client that has the answer is told so after a look at a few small columns, and of the others only the first waits while
it is made.
"""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

from fastapi import Request, Response
from fastapi.concurrency import run_in_threadpool
from sqlalchemy import Connection
from sqlalchemy.orm import Session
from starlette.datastructures import Headers
from starlette.types import Scope

import gauntlet
import store
from service.answering.freshness import entity_tag, is_known
from service.detached import heard
from service.errors import ServiceError
from service.requests.parameters import require_meant
from store.database import Database
from store.errors import NotFound

_OK = 200
# Four reports of the largest size, or thousands of the usual one.
_MOST_BYTES = 32 << 20
_SHARE = 4
_MOST_ROWS = 5_000
_BODY = {"content-length", "transfer-encoding"}
_OF_EACH = 2_000  # what an answer takes beside its body
_LOOKS_AT_ONCE = 3  # half of the threads


class Version:
    """Reads something that changes whenever the answer does, off the event loop, and once for all who wait for it.

    Args:
        read: the answer's version, a value whose text says all of it; may raise what the answer would.
    """

    def __init__(self, read: Callable[[Session, Request], Any]) -> None:
        self._read = read

    async def __call__(self) -> None:
        """Do nothing: `service.requests.routing` asks for what is known before a route's function is called."""

    async def known(self, request: Request) -> Response | None:
        """What needs no making: 304 where the client has the answer as it is now, or an answer that was kept."""
        tag = request.state.version = await self._look(request)
        # `*` may come with parameters that there is no answer to.
        if is_known(tag, request.headers.getlist("if-none-match"), to_any=False):
            return _not_modified(tag)
        return _kept(request).find(_asked(request), tag)

    async def made_in_turn(self, request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
        """The answer after a wait: another request that waited for the same may have had it made."""
        return await self.known(request) or await self.made(request, answer)

    async def made(self, request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
        """The answer, with its tag and kept, unless it may hold some of what has changed since `known` was asked."""
        tag: str = request.state.version
        made = await answer(request)
        if made.status_code == _OK and await self._look(request) == tag:
            made.headers["ETag"] = tag
            _kept(request).keep(_asked(request), tag, made)
        return made

    async def _look(self, request: Request) -> str:
        looks: Looks = request.app.state.looks
        return await looks.look(_asked(request), partial(self._tag, request))

    def _tag(self, request: Request) -> str:
        database: Database = request.app.state.database
        with database.reading() as session:
            return _tagged(request, self._read(session, request))


class RowVersion(Version):
    """One that is read from so few rows that they are looked at where the request is, if that is to be had.

    Who names a tag has had the answer a moment ago, so the rows are in memory.
    """

    def __init__(self, read: Callable[[Session | Connection, Request], Any]) -> None:
        super().__init__(read)
        self._read_row = read

    async def _look(self, request: Request) -> str:
        if "if-none-match" in request.headers:
            rows: KnownRows = request.app.state.known_rows
            tag = rows.look(request, self._read_row)
            if tag is not None:
                return tag
        return await run_in_threadpool(self._tag, request)


class KnownRows:
    """What was asked for of few rows by those who had it already, so that they are told so before all else.

    To find the route and to go through the framework to it takes longer than the look.
    """

    def __init__(self, database: Database, most: int = _MOST_ROWS) -> None:
        self._database, self._most = database, most
        self._known: OrderedDict[str, tuple[Any, Callable[[Connection], str]]] = OrderedDict()

    def look(self, request: Request, read: Callable[[Connection, Request], Any]) -> str | None:
        """The tag of what is read for the request; None where it is not to be had at once."""
        # As much of the request as is asked for again, and nothing of its connection.
        plain = Request({name: request.scope[name] for name in ("type", "path", "query_string", "path_params")})

        def tag(connection: Connection) -> str:
            return _tagged(plain, read(connection, plain))

        found = self._database.at_once(tag)
        if found is not None:
            self._known[_asked(plain)] = (request.scope.get("route"), tag)
            if len(self._known) > self._most:
                self._known.popitem(last=False)
        return found

    def answer(self, scope: Scope) -> Response | None:
        """304 if the client has it as it is now; None where the request's route must say what to answer."""
        headers = Headers(scope=scope)
        if scope["method"] != "GET" or "if-none-match" not in headers or _BODY & set(headers):
            return None
        route, read = self._known.get(_asked(Request(scope)), (None, None))
        if read is None:
            return None
        try:
            require_meant("GET", headers, ())
            tag = self._database.at_once(read)
        except (ServiceError, NotFound):
            return None
        if tag is None or not is_known(tag, headers.getlist("if-none-match"), to_any=False):
            return None
        # What counts answers counts them by it.
        scope["route"] = route
        return _not_modified(tag)


class Looks:
    """Looks at the same thing one after the other, each for all who asked for it before it began.

    Of a report of a thousand runs it takes 15 ms of a thread, and fifty clients may ask for it at once. Looks at
    different things wait for each other only where there are many: they keep threads from others.
    """

    def __init__(self) -> None:
        self._places = asyncio.Semaphore(_LOOKS_AT_ONCE)
        self._next: dict[str, asyncio.Future[str]] = {}
        self._begun: dict[str, asyncio.Future[str]] = {}

    async def look(self, asked: str, read: Callable[[], str]) -> str:
        """What is read, in a thread, after this was called."""
        looking = self._next.get(asked)
        if looking is None:
            looking = self._next[asked] = asyncio.ensure_future(self._look(asked, read))
            looking.add_done_callback(heard)
        # One of those who wait may leave.
        return await asyncio.shield(looking)

    async def _look(self, asked: str, read: Callable[[], str]) -> str:
        if (before := self._begun.get(asked)) is not None:
            await asyncio.wait([before])
        async with self._places:
            # Whoever asks from here on may ask for what is not there yet.
            self._begun[asked] = self._next.pop(asked)
            try:
                return await run_in_threadpool(read)
            finally:
                del self._begun[asked]


class KeptAnswers:
    """The answers that were asked for last, for those who ask again before anything has changed."""

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._answers: OrderedDict[str, tuple[str, Response]] = OrderedDict()

    def find(self, asked: str, tag: str) -> Response | None:
        """The answer to what was asked, if it has that tag."""
        kept_as, answer = self._answers.get(asked, ("", None))
        if answer is None or kept_as != tag:
            return None
        self._answers.move_to_end(asked)
        return answer

    def keep(self, asked: str, tag: str, answer: Response) -> None:
        """Keep it, unless it is large, in the place of the one before; forget those that nobody asked for longest."""
        if asked in self._answers:
            self._forget(asked)
        if len(answer.body) > self._most_bytes // _SHARE:
            return
        self._answers[asked] = (tag, answer)
        self._bytes += len(answer.body) + _OF_EACH
        while self._bytes > self._most_bytes:
            self._forget(next(iter(self._answers)))

    def _forget(self, asked: str) -> None:
        _, answer = self._answers.pop(asked)
        self._bytes -= len(answer.body) + _OF_EACH


def _kept(request: Request) -> KeptAnswers:
    kept: KeptAnswers = request.app.state.kept_answers
    return kept


def _not_modified(tag: str) -> Response:
    return Response(status_code=304, headers={"ETag": tag})


def _tagged(request: Request, version: Any) -> str:
    return entity_tag(repr((_code(), _asked(request), version)).encode())


def _asked(request: Request) -> str:
    return f"{request.scope['path']}?{request.scope['query_string'].decode('latin-1')}"


@cache
def _code() -> str:
    """What makes the answers: two builds may have one version and write the same rows otherwise."""
    digest = hashlib.sha256()
    for package in (gauntlet, store):
        root = Path(package.__path__[0])
        for file in sorted(each for kind in ("*.py", "*.jinja") for each in root.rglob(kind)):
            digest.update(file.read_bytes())
    return digest.hexdigest()

"""One request and its answer, seen from outside the app.

A body is counted as it arrives, so neither a false Content-Length nor a chunked upload gets past its bound. Every error
is a problem, and every answer has its request's id and the headers that all have.
"""

import http
import json
import uuid
from collections.abc import Iterable

from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send

from service.errors import MEDIA_TYPE, ServiceError, problem
from service.transport.headers import with_manners
from service.transport.pace import Pace

_ID = b"x-request-id"
_STREAM = b"text/event-stream"
_PIECE = 65_536
_WORDS = {
    http.HTTPStatus.BAD_REQUEST: "A header of the request cannot be read as what it should be.",
    http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE: "The range lies outside of what is asked for.",
}


class BodyTooLarge(Exception):
    """Breaks off the reading of a body that passed its bound."""


class NoMoreWanted(Exception):
    """Breaks off the writing of an answer whose body nobody wants, so that no file is read for nothing."""


class Exchange:
    """Between the server and the app: `receive` and `send` are for the app, `refuse` and `apologise` for the edge."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, *, limit: int, pieces: Pace) -> None:
        self.request_id = uuid.uuid4().hex
        headers = Headers(scope=scope)
        self._declared = headers.get("content-length", "")
        self._unread = self._declared not in ("", "0") or "transfer-encoding" in headers
        self._wants_body = scope["method"] != "HEAD"
        self._limit = limit
        self._pieces = pieces
        self._receive = receive
        self._send = send
        self._received = 0
        self._answered = False
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.is_stream = False
        self._replaced = False

    @property
    def is_too_large(self) -> bool:
        return self._received > self._limit

    def too_large(self) -> ServiceError:
        mebibytes, rest = divmod(self._limit, 1 << 20)
        most = f"{self._limit:,} bytes" if rest else f"{mebibytes:,} MiB"
        return ServiceError(413, "body-too-large", f"The body is larger than {most}.")

    def require_bounded_length(self) -> None:
        """Refuse what says itself that it is too large, before anything of it is read.

        Raises:
            ServiceError: 413.
        """
        if self._declared.isdecimal() and int(self._declared[:20]) > self._limit:
            raise self.too_large()

    async def receive(self) -> Message:
        message = await self._receive()
        self._received += len(message.get("body", b""))
        if self.is_too_large:
            raise BodyTooLarge
        self._unread = self._unread and message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        # The app may make an answer of its own from a body that was broken off; the refusal stands in its place.
        if self._replaced or (self.is_too_large and not self._answered):
            return
        if message["type"] != "http.response.start":
            await self._send_in_pieces(message)
        elif _is_error_in_other_words(message):
            self._replaced = True
            await self._reword(message["status"], message["headers"])
        else:
            await self._start(message["status"], message["headers"])
            if not self._wants_body:
                await self._send({"type": "http.response.body", "body": b""})
                raise NoMoreWanted

    async def _send_in_pieces(self, message: Message) -> None:
        """A long body piece by piece, as its client reads it: what the server is given at once it copies and keeps.

        The system takes megabytes at once, and all others wait for as long as it is given one piece after the other.
        """
        body = memoryview(message.get("body", b""))
        while len(body) > _PIECE:
            await self._pieces.turn()
            await self._send({"type": "http.response.body", "body": bytes(body[:_PIECE]), "more_body": True})
            body = body[_PIECE:]
        await self._send({**message, "body": bytes(body)})

    async def refuse(self, error: ServiceError) -> None:
        """Answer, if no answer has begun, without reading the body to its end."""
        told = [(name.lower().encode(), value.encode()) for name, value in (error.headers or {}).items()]
        await self._answer(error.status, error.kind, str(error), told)

    async def apologise(self) -> None:
        """Answer 500."""
        await self._answer(500, "internal-error", "An internal error; the log has it under the request id.")

    async def _reword(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """A problem in the place of an error that the framework wrote as text, such as that of a bad Range."""
        phrase = http.HTTPStatus(status).phrase
        about_its_text = (b"content-type", b"content-length")
        kept = [(name, value) for name, value in headers if name.lower() not in about_its_text]
        detail = _WORDS.get(http.HTTPStatus(status), f"{phrase}.")
        await self._answer(status, phrase.lower().replace(" ", "-"), detail, kept)

    async def _answer(self, status: int, kind: str, detail: str, headers: Iterable[tuple[bytes, bytes]] = ()) -> None:
        if self._answered:
            return
        content = json.dumps(problem(self.request_id, status, kind, detail)).encode()
        about = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(content)).encode())]
        await self._start(status, [*about, *headers])
        await self._send({"type": "http.response.body", "body": content if self._wants_body else b""})

    async def _start(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        self._answered = True
        self.status = status
        self.headers = headers = list(headers)
        self.is_stream = (b"content-type", _STREAM) in ((name, value[: len(_STREAM)]) for name, value in headers)
        told = with_manners([*headers, (_ID, self.request_id.encode())])
        if self._unread:
            # What still comes of the body is dropped (see `connections`), and no other request can follow it.
            told.append((b"connection", b"close"))
        await self._send({"type": "http.response.start", "status": status, "headers": told})


def _is_error_in_other_words(start: Message) -> bool:
    is_error: bool = start["status"] >= http.HTTPStatus.BAD_REQUEST
    return is_error and Headers(raw=start["headers"]).get("content-type", "") != MEDIA_TYPE

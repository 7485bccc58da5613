"""The outermost layer: gives each request its id, refuses bodies that are too large, and answers what nobody caught.

A body is counted as it arrives, so neither a false Content-Length nor a chunked upload gets past the bound.
"""

import json
import logging
import uuid
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import MEDIA_TYPE, problem
from service.settings import ServiceSettings

logger = logging.getLogger(__name__)

_HEADER = b"x-request-id"


class Edge:
    """ASGI middleware around the whole app."""

    def __init__(self, app: ASGIApp, settings: ServiceSettings) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._limit(scope["path"])
        exchange = _Exchange(uuid.uuid4().hex, limit, receive, send)
        scope.setdefault("state", {})["request_id"] = exchange.request_id
        if _declared_length(scope) > limit:
            await exchange.refuse()
            return
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except BodyTooLarge:
            pass
        except Exception:
            logger.exception("Request %s failed.", exchange.request_id)
            await exchange.apologise()
        if exchange.too_large:
            await exchange.refuse()

    def _limit(self, path: str) -> int:
        match path:
            case "/v1/classifications":
                return self._settings.max_upload_bytes
            case "/v1/checkpoints":
                return self._settings.max_weights_bytes
            case _:
                return self._settings.max_json_bytes


class BodyTooLarge(Exception):
    """Breaks off the reading of a body that passed its bound."""


class _Exchange:
    """One request and its answer, seen from outside."""

    def __init__(self, request_id: str, limit: int, receive: Receive, send: Send) -> None:
        self.request_id = request_id
        self._limit = limit
        self._receive = receive
        self._send = send
        self._received = 0
        self._answered = False

    @property
    def too_large(self) -> bool:
        return self._received > self._limit

    async def receive(self) -> Message:
        message = await self._receive()
        self._received += len(message.get("body", b""))
        if self.too_large:
            raise BodyTooLarge
        return message

    async def send(self, message: Message) -> None:
        # The app may make an answer of its own from a body that was broken off; the refusal stands in its place.
        if self._answered or not self.too_large:
            await self._forward(message)

    async def refuse(self) -> None:
        """Answer 413. The rest of the body is not read, so the connection cannot serve another request."""
        detail = f"The body is larger than {self._limit} bytes."
        await self._answer(413, "body-too-large", detail, (b"connection", b"close"))

    async def apologise(self) -> None:
        """Answer 500."""
        await self._answer(500, "internal-error", "An internal error; the log has it under the request id.")

    async def _answer(self, status: int, kind: str, detail: str, *headers: tuple[bytes, bytes]) -> None:
        if self._answered:
            return
        body: dict[str, Any] = problem(self.request_id, status, kind, detail)
        content = json.dumps(body).encode()
        about = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(content)).encode()), *headers]
        await self._forward({"type": "http.response.start", "status": status, "headers": about})
        await self._forward({"type": "http.response.body", "body": content})

    async def _forward(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._answered = True
            message["headers"] = [*message.get("headers", []), (_HEADER, self.request_id.encode())]
        await self._send(message)


def _declared_length(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value[:20])
    return 0

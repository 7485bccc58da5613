"""The outermost layer, before any routing: gives each request its id and refuses bodies that are too large.

A body is counted as it arrives, so neither a false Content-Length nor a chunked upload gets past the bound.
"""

import contextlib
import json
import uuid

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import MEDIA_TYPE, problem
from service.settings import ServiceSettings

UPLOADS = "/v1/classifications"
_HEADER = b"x-request-id"


class BodyTooLarge(Exception):
    """Breaks off the reading of a body that passed its bound."""


class Edge:
    """ASGI middleware around the whole app."""

    def __init__(self, app: ASGIApp, settings: ServiceSettings) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id
        limit = self._settings.max_upload_bytes if scope["path"] == UPLOADS else self._settings.max_json_bytes
        received = 0
        answered = False

        async def counted_receive() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                raise BodyTooLarge
            return message

        async def labelled_send(message: Message) -> None:
            nonlocal answered
            if message["type"] == "http.response.start":
                answered = True
                message["headers"] = [*message.get("headers", []), (_HEADER, request_id.encode())]
            await send(message)

        async def answer(message: Message) -> None:
            # The app may have made an answer of its own from the broken-off body; ours stands in its place.
            if answered or received <= limit:
                await labelled_send(message)

        if _declared_length(scope) <= limit:
            with contextlib.suppress(BodyTooLarge):
                await self._app(scope, counted_receive, answer)
            if answered:
                return
        await _refuse(labelled_send, request_id, limit)


def _declared_length(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value[:20])
    return 0


async def _refuse(send: Send, request_id: str, limit: int) -> None:
    body = json.dumps(problem(request_id, 413, "body-too-large", f"The body is larger than {limit} bytes.")).encode()
    headers = [
        (b"content-type", MEDIA_TYPE.encode()),
        (b"content-length", str(len(body)).encode()),
        # The rest of the body is not read, so the connection cannot serve another request.
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": body})

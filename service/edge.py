"""The outermost layer, before any routing: gives each request its id and refuses bodies that are too large.

A body is counted as it arrives, so neither a false Content-Length nor a chunked upload gets past the bound.
"""

import json
import uuid

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import MEDIA_TYPE, problem
from service.settings import ServiceSettings

UPLOADS = "/v1/classifications"
_HEADER = b"x-request-id"


class _TooLarge(Exception):
    pass


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
        started = False

        async def labelled_send(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = [*message.get("headers", []), (_HEADER, request_id.encode())]
            await send(message)

        if _declared_length(scope) > limit:
            await _refuse(labelled_send, request_id, limit)
            return
        received = 0

        async def counted_receive() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                raise _TooLarge
            return message

        try:
            await self._app(scope, counted_receive, labelled_send)
        except _TooLarge:
            if started:
                raise
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

"""Whether what a client has is still what there is: a strong entity tag on all that is read, and 304 where it matches.

The tag is of the bytes as they are sent, so whatever may encode an answer on its way, it is that encoding's own. An
answer that has one already keeps it: a file's, and what `service.answering.versions` knows without making the answer.
"""

import hashlib
import re
from collections.abc import Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import Message, Scope, Send

from service.transport.exchange import NoMoreWanted

_TAG = re.compile(r'(?:W/)?("[^"]*")')
_OK, _PART, _NOT_MODIFIED = 200, 206, 304
_OF_A_BODY = ("content-length", "content-type", "content-range", "accept-ranges", "content-disposition")
# Anybody may keep it, in nobody else's cache, and asks before it is used again.
_TO_BE_ASKED = "private, no-cache"


def entity_tag(content: bytes) -> str:
    """The strong tag of these bytes."""
    return f'"{hashlib.sha256(content).hexdigest()[:32]}"'


def is_known(tag: str, given: Sequence[str], *, to_any: bool = True) -> bool:
    """Whether an answer with that tag is what a client's If-None-Match names.

    The comparison is the weak one, as RFC 9110 (13.1.2) asks for; `*` names any answer, if `to_any`.
    """
    if to_any and any(each.strip() == "*" for each in given):
        return True
    known = {found for each in given for found in _TAG.findall(each)}
    return tag.removeprefix("W/") in known


class Freshness:
    """Between the app and its client, for one request: `send` is for the app."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._is_reading = scope["method"] in ("GET", "HEAD")
        self._given = Headers(scope=scope).getlist("if-none-match") if self._is_reading else []
        self._send = send
        self._waiting: Message | None = None

    async def send(self, message: Message) -> None:
        """Pass on what the app sends; a head without a tag waits for its body.

        Raises:
            NoMoreWanted: the client has it already.
        """
        if not self._is_reading:
            await self._send(message)
        elif message["type"] != "http.response.start":
            if self._waiting is not None:
                head, self._waiting = self._waiting, None
                if not message.get("more_body"):
                    MutableHeaders(raw=head["headers"])["etag"] = entity_tag(message.get("body", b""))
                await self._begin(head)
            await self._send(message)
        elif _comes_whole(message):
            self._waiting = {**message, "headers": list(message["headers"])}
        else:
            await self._begin({**message, "headers": list(message["headers"])})

    async def _begin(self, head: Message) -> None:
        headers = MutableHeaders(raw=head["headers"])
        if head["status"] in (_OK, _PART, _NOT_MODIFIED):
            headers.setdefault("cache-control", _TO_BE_ASKED)
        is_tagged = head["status"] in (_OK, _PART) and "etag" in headers
        if not (is_tagged and self._given and is_known(headers["etag"], self._given)):
            await self._send(head)
            return
        for name in _OF_A_BODY:
            del headers[name]
        await self._send({**head, "status": _NOT_MODIFIED})
        await self._send({"type": "http.response.body", "body": b""})
        raise NoMoreWanted


def _comes_whole(head: Message) -> bool:
    """Whether the body can be waited for: all of it is there, as its length is; a stream may never end."""
    headers = Headers(raw=head["headers"])
    return head["status"] == _OK and "etag" not in headers and "content-length" in headers

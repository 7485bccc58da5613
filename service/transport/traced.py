"""A span for each request that changes something, in its caller's trace if it names one; what it queues belongs there.

Requests that only look get none: whoever watches a job asks several times a second. Nor do those that are refused at
the door, for whoever may not ask anything is not to fill anybody's collector.
"""

import re
from typing import TYPE_CHECKING, Final

from starlette.datastructures import Headers
from starlette.types import Scope

from service.transport.exchange import Exchange
from store.lookup import ID_PATTERN
from store.traces.spans import ASKED, Asked

if TYPE_CHECKING:
    # It loads OpenTelemetry's SDK, which is there only where traces are asked for.
    from store.traces.otlp import Sender

_ONLY_LOOK: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_METHODS: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})
# What ids of the subjects of requests begin with.
_KINDS: Final = {
    "exp": "experiment", "run": "run", "eval": "evaluation", "ckpt": "checkpoint", "dset": "dataset", "res": "result",
    "hook": "webhook", "tok": "token",
}  # fmt: skip  # two lines
_LONGEST_ID: Final = 40
_FAILED: Final = 500
_OPENED: Final = "gauntlet.span"


class Tracing:
    """The requests of one service."""

    def __init__(self, sender: "Sender") -> None:
        self._sender = sender

    def open(self, request: Scope) -> None:
        """Begin the span of a request that has been let in; what is queued from here on is of its trace."""
        if request["method"] in _ONLY_LOOK:
            return
        # Of several none is their caller's, as W3C has it.
        named = Headers(scope=request).getlist("traceparent")
        opened = self._sender.open(_method(request), named[0] if len(named) == 1 else None)
        if opened.place is not None:
            asked = Asked(opened.place)
            ASKED.set(asked)
            request[_OPENED] = opened, asked

    def close(self, request: Scope, exchange: Exchange) -> None:
        """End it, if it has one, with what it was about: by its route and by ids, as its path could say anything."""
        if _OPENED not in request:
            return
        opened, asked = request[_OPENED]
        ASKED.set(None)
        method, route = _method(request), getattr(request.get("route"), "path_format", None)
        said: dict[str, str | int] = {"http.request.method": method, "gauntlet.request.id": exchange.request_id}
        said |= {} if route is None else {"http.route": route}
        said |= {"http.response.status_code": exchange.status} if exchange.status else {}
        made = Headers(raw=exchange.headers).get("location", "").rpartition("/")[2]
        for identifier in (*request.get("path_params", {}).values(), made):
            kind = _KINDS.get(str(identifier).partition("_")[0])
            if kind and len(identifier) <= _LONGEST_ID and re.match(ID_PATTERN, identifier):
                said[f"gauntlet.{kind}.id"] = identifier
        # Without an answer its client had left.
        error = str(exchange.status) if exchange.status >= _FAILED else None
        opened.end(f"{method} {route}" if route else method, said, error=error, follows=asked.follows)


def _method(request: Scope) -> str:
    method: str = request["method"]
    return method if method in _METHODS else "_OTHER"

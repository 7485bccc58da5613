"""The outermost layer: lets in what is meant for this service, bounds its body, and answers what nobody caught."""

import logging
import time
from collections.abc import Callable, Mapping

from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionFree
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from service.answering.freshness import Freshness
from service.callers.access import Access, require_no_token_in_url
from service.errors import ServiceError, database_away, no_connection_free
from service.requests.paths import compared
from service.settings import ServiceSettings
from service.transport.exchange import BodyTooLarge, Exchange, NoMoreWanted
from service.transport.lasting import send_what_lasts
from service.transport.origins import Door
from service.transport.pace import Pace
from service.transport.traced import Tracing
from store import logs

logger = logging.getLogger(__name__)

# Of long answers, in a turn of the event loop: one takes a tenth of a millisecond. Fifty clients that were sent three
# megabytes each kept whoever asked anything else waiting for 120 to 300 ms.
_PIECES_AT_ONCE = 8


class Edge:
    """ASGI middleware around the whole app."""

    def __init__(
        self,
        app: ASGIApp,
        settings: ServiceSettings,
        access: Access,
        answered: Callable[[Scope, int, float], None] | None = None,
        known: Callable[[Scope], Response | None] | None = None,
        direct: Mapping[tuple[str, str], ASGIApp] | None = None,
        tracing: Tracing | None = None,
    ) -> None:
        """Around `app`, with what is told of each answer.

        `known` answers what it knows before any route is looked for, and `direct` has the apps that answer a method and
        a path in the place of `app`: both when the request has been let in. `tracing` tells of requests as spans.
        """
        self._app = app
        self._settings = settings
        self._access = access
        self._door = Door(settings)
        self._answered, self._known, self._direct = answered, known, direct or {}
        self._tracing = tracing
        self._pieces = Pace(_PIECES_AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._limit(compared(scope))
        exchange = Exchange(scope, receive, send, limit=limit, pieces=self._pieces)
        scope.setdefault("state", {})["request_id"] = exchange.request_id
        logs.REQUEST.set(exchange.request_id)
        asked = _head_as_get(scope)
        started = time.monotonic()
        try:
            await self._answer(scope, asked, exchange)
        finally:
            if self._tracing is not None:
                self._tracing.close(asked, exchange)
            if self._answered is not None and exchange.status and not exchange.is_stream:
                self._answered({**asked, "method": scope["method"]}, exchange.status, time.monotonic() - started)

    async def _answer(self, scope: Scope, asked: Scope, exchange: Exchange) -> None:
        try:
            self._door.require_welcome(scope)
            require_no_token_in_url(scope)
            await self._access.require_allowed(scope)
            exchange.require_bounded_length()
            if self._tracing is not None:
                self._tracing.open(asked)
            send = Freshness(scope, exchange.send).send
            answer = None if self._known is None else self._known(asked)
            app = answer or self._direct.get((asked["method"], compared(asked)), self._app)
            await app(asked, exchange.receive, send)
            await send_what_lasts(scope, exchange.receive, send)
        except ServiceError as error:
            await exchange.refuse(error)
        # Of the look at whose token it is; the app answers what its routes meet.
        except NoConnectionFree as error:
            logger.warning("No connection to the database was free: %s", error)
            await exchange.refuse(no_connection_free())
        except OperationalError as error:
            logger.error("The database is unavailable: %s", error)  # noqa: TRY400  # no fault of ours to trace
            await exchange.refuse(database_away())
        except (BodyTooLarge, NoMoreWanted):
            pass
        except Exception:
            logger.exception("Request %s failed.", exchange.request_id)
            await exchange.apologise()
        if exchange.is_too_large:
            await exchange.refuse(exchange.too_large())

    def _limit(self, path: str) -> int:
        match path:
            case "/v1/classifications":
                return self._settings.max_upload_bytes
            case "/v1/checkpoints":
                return self._settings.max_weights_bytes
            case "/v1/datasets":
                return self._settings.max_dataset_bytes
            case _:
                return self._settings.max_json_bytes


def _head_as_get(scope: Scope) -> Scope:
    """HEAD is answered by every route that answers GET, and alike; a part of a body is GET's alone."""
    if scope["method"] != "HEAD":
        return scope
    return {**scope, "method": "GET", "headers": [header for header in scope["headers"] if header[0] != b"range"]}

"""What of a request goes into the audit list, and when: with what it changes, or before it is refused.

A route writes nothing of it: it is given a database whose transactions end with the entry, so that one that is added
later is in the list too, and nothing is changed of which the list does not know.
"""

import logging
import re
import time
from collections import OrderedDict

import anyio
from fastapi import Request
from fastapi.routing import iter_route_contexts
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session
from starlette.routing import Match
from starlette.types import Scope

from store.accounts import audit
from store.accounts.audit import Deed
from store.accounts.tokens import Caller
from store.database import Database
from store.lookup import ID_PATTERN

logger = logging.getLogger(__name__)

# The same refusal is written once within that time, or a script that asks on and on would fill the list.
_REFUSED_AGAIN_AFTER_S = 60.0
_REMEMBERED = 10_000
_LONGEST_ID, _LONGEST_METHOD = 40, 10
_NO_PATH = "(no such path)"


class Audit:
    """The list of one service."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._refused: OrderedDict[tuple[str, str, str], float] = OrderedDict()

    def database_for(self, request: Request) -> Database:
        """The database, where each transaction that changes something for this request is in the list."""
        scope = request.scope

        def begin(session: Session) -> None:
            audit.note_at_the_end(session, _deed(scope, scope["route"].path_format, scope["path_params"]))

        return self._database.beginning_with(begin)

    async def note_refusal(self, request: Scope, kind: str) -> None:
        """Write down that the request's caller has not the right to make it."""
        route, parameters = _route_of(request)
        deed = _deed(request, route, parameters)
        if self._is_known((deed.token or "", deed.method, route)):
            return
        try:
            await anyio.to_thread.run_sync(self._write, deed, kind)
        except SQLAlchemyError:
            # What is refused stays refused.
            logger.exception("A refusal (%s) could not be written into the audit list.", kind)

    def _write(self, deed: Deed, kind: str) -> None:
        with self._database.writing() as session:
            audit.note(session, deed, kind)

    def _is_known(self, refusal: tuple[str, str, str]) -> bool:
        now = time.monotonic()
        before = self._refused.pop(refusal, None)
        if before is not None and now - before < _REFUSED_AGAIN_AFTER_S:
            self._refused[refusal] = before
            return True
        self._refused[refusal] = now
        if len(self._refused) > _REMEMBERED:
            self._refused.popitem(last=False)
        return False


def _deed(request: Scope, route: str, parameters: dict[str, str]) -> Deed:
    caller: Caller | None = request["state"]["caller"]
    named = [value for name, value in parameters.items() if name.endswith("_id")]
    return Deed(
        owner=None if caller is None else caller.owner,
        token=None if caller is None else caller.token,
        method=request["method"][:_LONGEST_METHOD],
        route=route,
        subject=_as_id(named[0]) if named else None,
        request_id=request["state"]["request_id"],
    )


def _as_id(text: str) -> str | None:
    """The id of something that may be there; what is none is in no list."""
    return text if len(text) <= _LONGEST_ID and re.match(ID_PATTERN, text) else None


def _route_of(request: Scope) -> tuple[str, dict[str, str]]:
    """The path that a request takes, with the names of its parameters, and what they are: at the edge nobody knows."""
    asked = {**request, "root_path": request.get("app_root_path", request.get("root_path", ""))}
    for route in iter_route_contexts(request["app"].routes):
        match, found = route.matches(asked)
        if match is not Match.NONE and route.path_format:
            return route.path_format, found.get("path_params", {})
    return _NO_PATH, {}

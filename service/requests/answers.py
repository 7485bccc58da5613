"""What each request can be answered with beside what it asks for, derived from its route: the schema's errors."""

import json
from collections.abc import Iterator
from functools import lru_cache
from threading import Lock
from typing import Any

from fastapi import FastAPI
from fastapi.responses import FileResponse
from fastapi.routing import RouteContext, iter_route_contexts

from service.callers import session_cookie
from service.callers.access import is_open
from service.errors import MEDIA_TYPE
from service.requests import forms, parameters
from service.requests.parameters import with_dependencies

_EVERY = (400, 403, 408, 413, 421, 422, 500)
_BEHIND_TOKENS = (401, 429, 503)
_WITH_BODY = (415,)
_WITH_DATABASE = (429, 503)
_STORING = (507,)
_OF_A_FILE = (416,)
_MEANINGS = {
    400: "What came is no HTTP, or a header cannot be read as what it should be.",
    401: "Requests must show a token here, and this one shows none that opens anything.",
    403: "A page of another site makes the request, its token's scope is too small, the object is another owner's, "
    "or a quota is used up.",
    404: "There is no such object.",
    408: "The request did not arrive in time.",
    409: "The file of a checkpoint that is needed is gone, or what is asked does not go with how the object stands, or "
    "with what stands on it.",
    413: "The body is larger than the bound.",
    415: "The body, or a file in it, is of a type or charset that is not read.",
    416: "The range lies outside of the file.",
    421: "`Host` is a name that this service does not go by.",
    422: "The request has invalid fields; `errors` names them.",
    429: "Too many such requests are being answered or had unknown tokens, or a quota is used up; "
    "`Retry-After` says when to come again.",
    500: "A fault of the service; its log has it under the request id.",
    503: "The database or the storage of files is away, or refuses the service; `Retry-After` says when to come again.",
    507: "A disk of the service is full; nothing of the request was kept.",
}
_LOGINS = {
    "token": {"type": "http", "scheme": "bearer", "description": "A token of `gauntlet tokens create`."},
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": session_cookie.NAME,
        "description": "What `POST /v1/session` exchanges a token for.",
    },
}
# What a route says itself, for it cannot be told from what it asks for.
NEEDS_WEIGHTS: dict[int | str, dict[str, Any]] = {409: {}}
MAY_BE_REFUSED: dict[int | str, dict[str, Any]] = {409: {}}
NAMES_CHECKPOINTS: dict[int | str, dict[str, Any]] = {404: {}}


def document(app: FastAPI) -> None:
    """Have the app's schema list all of them for every request.

    `app.state.schema` is then the schema as JSON, for a service below some path: made when it is first asked for, which
    takes 2.7 s of a Zen 3 core, nearly all of it FastAPI's own, and kept.
    """
    plain, turn = app.openapi, Lock()
    neither: list[dict[str, list[str]]] = [] if app.state.settings.auth_is_on else [{}]

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = plain()
            forms.document(schema)
            parameters.document(schema)
            schema["components"]["securitySchemes"] = _LOGINS
            for route in iter_route_contexts(app.routes):
                for method in route.methods or ():
                    operation = schema["paths"].get(route.path_format, {}).get(method.lower())
                    if operation is not None:
                        _add(operation["responses"], route, method)
                        if not is_open(method, route.path_format or ""):
                            # Either of them, or neither where the service wants no login.
                            operation["security"] = [{name: []} for name in _LOGINS] + neither
        assert app.openapi_schema is not None
        return app.openapi_schema

    @lru_cache(maxsize=1)
    def written(root: str) -> bytes:
        below = {"servers": [{"url": root}]} if root else {}
        return json.dumps(openapi() | below, ensure_ascii=False, separators=(",", ":")).encode()

    def schema(root: str) -> bytes:
        # All that ask at once would write it themselves, each in one piece: 65 ms for which everything else waits.
        with turn:
            return written(root)

    app.state.schema = schema
    app.openapi = openapi  # type: ignore[method-assign]  # as its documentation says to


def _add(responses: dict[str, Any], route: RouteContext, method: str) -> None:
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for status in {*_statuses(route, method), *(int(known) for known in responses if int(known) in _MEANINGS)}:
        responses[str(status)] = {"description": _MEANINGS[status], "content": content}
    if method == "GET":
        responses["304"] = {"description": "What `If-None-Match` names is still the answer."}
    if route.response_class is FileResponse:
        responses["206"] = responses["200"] | {"description": "A part of the file, as `Range` asked for."}


def _statuses(route: RouteContext, method: str) -> Iterator[int]:
    yield from _EVERY
    if not is_open(method, route.path_format or ""):
        yield from _BEHIND_TOKENS
    asks_for = {part.call for part in with_dependencies(route.dependant)}
    names = {getattr(call, "__name__", "") for call in asks_for}
    if "{" in (route.path_format or ""):
        yield 404
    if names & {"_database", "_reporter"}:
        yield from _WITH_DATABASE
    if "_readiness" in names:
        yield 503
    if route.body_field is not None:
        yield from _WITH_BODY
    if method != "GET":
        yield from _STORING
    if route.response_class is FileResponse:
        yield from _OF_A_FILE

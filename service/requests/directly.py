"""Routes that are asked for often, answered past the framework.

To look for a route and to work out what its function is given took longer than a small network does.

They are the app's routes all the same, with its schema, and their requests come by the same edge. What is read, how its
faults are told and what becomes of an error is the framework's and the app's own too; what is spared is the way there.
"""

import inspect
from collections.abc import Iterator, Mapping
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

from fastapi import APIRouter, FastAPI, Request, Response, UploadFile, params
from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import request_body_to_args
from fastapi.exceptions import RequestValidationError
from pydantic import Json
from starlette.datastructures import FormData
from starlette.datastructures import UploadFile as Upload
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from service.answering.versions import Version
from service.requests.parameters import is_list
from service.requests.routing import Route
from service.transport.admission import Gate

# What a field may be, or None besides: others are more to the framework than what comes under their name.
_KINDS = (str, UploadFile, list[str], list[UploadFile])


def directly(app: FastAPI, router: APIRouter) -> Mapping[tuple[str, str], ASGIApp]:
    """What answers each method and path of a router whose routes the app has as they are, and take a form and no more.

    Their functions are async and return a response. The form's fields are texts and files, or lists of them. What the
    functions depend on is async too and takes the `request` alone; gates and versions are `Route`'s to ask.

    Raises:
        TypeError: one takes more.
    """
    answering: dict[tuple[str, str], ASGIApp] = {}
    for route in router.routes:
        if not isinstance(route, Route):
            continue
        if (more := next(_more(app, route), None)) is not None:
            raise TypeError(f"{route.path} takes more than a request and its form: {more}.")
        answer = ExceptionMiddleware(_Direct(route), handlers=app.exception_handlers)
        answering |= {(method, route.path): answer for method in route.methods or ()}
    return answering


class _Direct:
    """One route as an app. The scope it is given has the whole app in it."""

    def __init__(self, route: Route) -> None:
        self._route = route
        self._handle = route.reading(self._answer)
        self._fields = route.dependant.body_params
        self._needed = {each.name: each.call for each in route.dependant.dependencies if each.name and each.call}
        # Whose default need not be copied or validated.
        self._may_be_none = {
            field.name
            for field in self._fields
            if field.field_info.default is None and not field.field_info.validate_default
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["route"], scope["endpoint"], scope["path_params"] = self._route, self._route.endpoint, {}
        answer = await self._handle(Request(scope, receive, send))
        await answer(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        form: FormData = await request.form()
        try:
            # In the framework's order, for either may refuse.
            needed = {name: await call(request=request) for name, call in self._needed.items()}
            given = self._plain(form)
            if given is None:
                given, faults = await request_body_to_args(self._fields, form, embed_body_fields=True)
                if faults:
                    raise RequestValidationError(faults)
            answer: Response = await self._route.endpoint(**needed, **given)
            return answer
        finally:
            await form.close()

    def _plain(self, form: FormData) -> dict[str, Any] | None:
        """What the framework makes of a form that has something in each field that is not None; else it is asked."""
        if not all(value.filename if isinstance(value, Upload) else value for _, value in form.multi_items()):
            return None
        given: dict[str, Any] = {}
        for field in self._fields:
            values = form.getlist(field.alias)
            if values:
                found, faults = field.validate(values if is_list(field.field_info.annotation) else values[-1])
                if faults:
                    return None
                given[field.name] = found
            elif field.name in self._may_be_none:
                given[field.name] = None
            else:
                return None
        return given


def _more(app: FastAPI, route: Route) -> Iterator[str]:
    """What keeps a route from being answered so."""
    own, function = route.dependant, route.endpoint
    if not inspect.iscoroutinefunction(function):
        yield "its function is not async"
    returned = inspect.signature(function, eval_str=True).return_annotation
    if not (isinstance(returned, type) and issubclass(returned, Response)):
        yield "its function returns what is to be made a response"
    taken = {"body_params": own.body_params, "dependencies": own.dependencies}
    if route.param_convertors or not _is_all_of(own, **taken):
        yield "parameters"
    if not own.body_params or not all(map(_is_plain, own.body_params)):
        yield "a body that is not a form of texts and files"
    asked: list[Any] = []
    for needed in own.dependencies:
        if needed.name is None and isinstance(needed.call, (Gate, Version)) and _is_all_of(needed):
            continue
        if (
            needed.name is None
            or not inspect.iscoroutinefunction(needed.call)
            or not _is_all_of(needed, request_param_name="request")
            # The framework would ask once.
            or needed.call in asked
        ):
            yield f"the dependency {needed.call}"
        asked.append(needed.call)
    if all(each is not route for each in app.routes):
        # One that is included may have a prefix and dependencies of where it is.
        yield "the app has it not, or not as it is"


def _is_all_of(dependant: Dependant, **taken: Any) -> bool:
    """Whether a function takes this alone, of all that the framework knows to give."""
    named = ("name", "call", "path", "scope", "own_oauth_scopes", "parent_oauth_scopes")
    return dependant == Dependant(**{name: getattr(dependant, name) for name in named}, **taken)


def _is_plain(field: Any) -> bool:
    """Whether a field is found by its one name, and given to its validator as it comes."""
    info = field.field_info
    kinds = [info.annotation]
    if get_origin(info.annotation) in (Union, UnionType):
        kinds = [kind for kind in get_args(info.annotation) if kind is not NoneType]
    return (
        isinstance(info, params.Form)
        and len(kinds) == 1
        and kinds[0] in _KINDS
        and info.validation_alias in (None, field.alias)
        and all(type(part) is not Json and part is not Json for part in info.metadata)
        and not field.config
    )

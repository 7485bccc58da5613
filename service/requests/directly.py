"""Routes that are asked for often, answered past the framework.

To look for a route and to work out what its function is given took longer than a small network does.

They are the app's routes all the same, with its schema, and their requests come by the same edge. What is read, how its
faults are told and what becomes of an error is the framework's and the app's own too; what is spared is the way there.
"""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi._compat import ModelField
from fastapi.dependencies.utils import request_body_to_args
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from service.requests.parameters import is_list
from service.requests.routing import Route


def directly(app: FastAPI, router: APIRouter) -> Mapping[tuple[str, str], ASGIApp]:
    """What answers each method and path of a router, whose paths are plain, functions async and bodies forms.

    What they depend on may depend on the request, and on nothing else.
    """
    return {
        (method, route.path): ExceptionMiddleware(_Direct(route), handlers=app.exception_handlers)
        for route in router.routes
        if isinstance(route, Route)
        for method in route.methods or ()
    }


class _Direct:
    """One route as an app. The scope it is given has the whole app in it."""

    def __init__(self, route: Route) -> None:
        self._route = route
        self._handle = route.reading(self._answer)
        self._fields, needed = route.dependant.body_params, route.dependant.dependencies
        if route.param_convertors or any(each.dependencies or each.body_params for each in needed):
            raise TypeError(f"{route.path} takes more than a request and its form.")
        # Those without a name, such as gates, do nothing when they are called.
        self._needed = {each.name: each.call for each in needed if each.name is not None and each.call is not None}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["route"], scope["endpoint"], scope["path_params"] = self._route, self._route.endpoint, {}
        answer = await self._handle(Request(scope, receive, send))
        await answer(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        form: FormData = await request.form()
        try:
            given = _plain(self._fields, form)
            if given is None:
                given, faults = await request_body_to_args(self._fields, form, embed_body_fields=True)
                if faults:
                    raise RequestValidationError(faults)
            for name, call in self._needed.items():
                given[name] = await call(request=request)
            answer: Response = await self._route.endpoint(**given)
            return answer
        finally:
            await form.close()


def _plain(fields: list[ModelField], form: FormData) -> dict[str, Any] | None:
    """What the framework makes of a form that has something in each field that it has; None if it has to be asked."""
    if not all(value.filename if isinstance(value, UploadFile) else value for _, value in form.multi_items()):
        return None
    given: dict[str, Any] = {}
    for field in fields:
        values = form.getlist(field.alias)
        if not values and not field.field_info.is_required():
            given[field.name] = field.get_default()
            continue
        found, faults = field.validate(values if is_list(field.field_info.annotation) else values[-1], given)
        if faults:
            return None
        given[field.name] = found
    return given

"""What the routes say of a path."""

from fastapi import Request
from fastapi.routing import iter_route_contexts
from starlette._utils import get_route_path
from starlette.routing import Match
from starlette.types import Scope


def compared(scope: Scope) -> str:
    """The path that the routes compare: of a service that its server puts below some path, what comes after that.

    It is the framework's own function: by another one a request could be let in for one path and answered at another.
    """
    return get_route_path(scope)


def methods_of(request: Request) -> list[str]:
    """Every method that the request's path takes."""
    scope = request.scope
    # As it was before a route took it: one that holds others has made their part of the path the root of its own.
    root = scope.get("app_root_path", scope.get("root_path", ""))
    asked = {"type": "http", "method": "GET", "path": scope["path"], "root_path": root}
    routes = [route for route in iter_route_contexts(request.app.routes) if route.matches(asked)[0] is not Match.NONE]
    # What stands there as it is is meant, and no id that reads the same, such as `/v1/experiments/validate`.
    meant = [route for route in routes if route.path_format == compared(asked)] or routes
    found: set[str] = set()
    for route in meant:
        found |= route.methods or {"GET"}
    return sorted(found | ({"HEAD"} if "GET" in found else set()))

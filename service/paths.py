"""What the routes say of a path."""

from fastapi import Request
from fastapi.routing import iter_route_contexts
from starlette.routing import Match


def methods_of(request: Request) -> list[str]:
    """Every method that the request's path takes."""
    scope = request.scope
    # As it was before a route took it: one that holds others has made their part of the path the root of its own.
    asked = {"type": "http", "method": "GET", "path": scope["path"], "root_path": scope.get("app_root_path", "")}
    found: set[str] = set()
    for route in iter_route_contexts(request.app.routes):
        if route.matches(asked)[0] is not Match.NONE:
            found |= route.methods or {"GET"}
    return sorted(found | ({"HEAD"} if "GET" in found else set()))

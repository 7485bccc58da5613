"""How a request is read before its route's function sees it: what it declares is let in, and nothing else."""

from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from service import bodies, parameters
from service.admission import Gate


class Route(APIRoute):
    """A route that reads its requests itself.

    The framework ignores what a function does not declare, decodes and checks bodies where every other request waits,
    and reads a body before it can be refused.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        answer = super().get_route_handler()
        declared = parameters.declared(self.dependant)
        gates = [needed.call for needed in self.dependant.dependencies if isinstance(needed.call, Gate)]
        read = bodies.reader(self)

        async def handle(request: Request) -> Response:
            parameters.require_single_headers(request.headers)
            parameters.require_declared(request.scope["query_string"], declared)
            with ExitStack() as places:
                for gate in gates:
                    places.enter_context(gate.admit())
                return await answer(await read(request))

        return handle

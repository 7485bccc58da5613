"""How a request is read before its route's function sees it: what it declares is let in, and nothing else."""

import inspect
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, ExitStack
from functools import wraps
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.types import Receive, Scope, Send

from gauntlet.resources import Problem
from service.answering.versions import Version
from service.requests import bodies, parameters
from service.transport.admission import Gate
from service.transport.presence import while_client_waits
from service.transport.writing import Writer

# `answers.document` says the rest of it.
_INVALID = {"model": Problem}


class _Held(Response):
    """An answer that keeps its places until it is sent: a large one fills memory while its client is slow to read."""

    def __init__(self, answer: Response, places: ExitStack) -> None:
        self._answer = answer
        self._places = places

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._places:
            await self._answer(scope, receive, send)


class Route(APIRoute):
    """A route that reads its requests itself.

    The framework ignores what a function does not declare, decodes and checks bodies where every other request waits,
    and reads a body before it can be refused.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        called = endpoint if inspect.iscoroutinefunction(endpoint) else self._written(endpoint)
        responses = {422: _INVALID} | (options.pop("responses", None) or {})
        super().__init__(path, called, responses=responses, **options)
        self._writer = Writer(self.response_model)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        return self.reading(super().get_route_handler())

    def reading(
        self, answer: Callable[[Request], Coroutine[Any, Any, Response]]
    ) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """What has `answer` answer a request when it has been let in and read."""
        declared = parameters.declared(self.dependant)
        taken = parameters.declared_headers(self.dependant)
        asked_for = [needed.call for needed in self.dependant.dependencies]
        gates = [call for call in asked_for if isinstance(call, Gate)]
        version = next((call for call in asked_for if isinstance(call, Version)), None)
        read = bodies.reader(self)

        async def handle(request: Request) -> Response:
            parameters.require_meant(request.method, request.headers, taken)
            parameters.require_declared(request.scope["query_string"], declared)
            if version is None:
                return await admitted(request, read)
            # Such a request has no body that could fill anything.
            understood = await read(request)
            return await version.known(understood) or await admitted(understood, _as_it_is)

        async def admitted(request: Request, read: Callable[[Request], Awaitable[Request]]) -> Response:
            before = [gate for gate in gates if not gate.lets_pass(request)]
            with ExitStack() as places:
                for gate in before:
                    places.enter_context(gate.admit())
                understood = await read(request)
                if not before:
                    return await (version.made(understood, answer) if version else answer(understood))
                held = await while_client_waits(request, in_turn(understood, before))
                return _Held(held, places.pop_all())

        async def in_turn(understood: Request, before: Sequence[Gate]) -> Response:
            async with AsyncExitStack() as turns:
                for gate in before:
                    await turns.enter_async_context(gate.turn())
                return await (version.made_in_turn(understood, answer) if version else answer(understood))

        return handle

    def _written(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """The route's function, which also writes its answer, in its thread.

        The framework would write it where every other request waits.
        """

        @wraps(call)
        def write(**values: Any) -> Any:
            value = call(**values)
            if self.response_field is None or isinstance(value, Response):
                return value
            content = self._writer.write(value)
            answer = Response(content, self.status_code or 200, media_type="application/json")
            if self.dependant.response_param_name is not None:
                # What the function says of its answer, beside the answer.
                said: Response = values[self.dependant.response_param_name]
                answer.status_code = said.status_code or answer.status_code
                answer.raw_headers.extend(said.raw_headers)
            return answer

        return write


async def _as_it_is(request: Request) -> Request:
    return request

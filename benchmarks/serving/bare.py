"""A server that does nothing, beside `benchmarks.serving.watching`: what the machine itself takes for an answer.

It answers any request alike, without reading it; `benchmarks.bad_input.hostile` sends it what held up the service.
`/thread` is answered by a thread that the event loop hands it to and has it back from, as whatever asks a database must
be, and all else by the loop. Both have an ETag and know it again. No database, no tokens, nothing computed.
"""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from benchmarks.serving.served import await_ready, keep_to
from benchmarks.serving.watching import API_CORES, busy, poll_order, read, watch
from cli.machine.embedded import free_port
from cli.machine.processes import Child

_TAG = '"bare"'
# As long as the status of a run.
_BODY = b"x" * 2_000
_GRACE_S = 5.0


def measure_bare(pollers: int, seconds: float, every_s: float) -> dict[str, Any]:
    """How soon a server that does nothing answers pollers with their tag, beside a service whose worker trains."""
    found: dict[str, Any] = {"pollers": pollers, "every_s": every_s, "seconds": seconds}
    with busy(0), bare(API_CORES) as (port, _):
        for path in ("/loop", "/thread"):
            order = poll_order(port, "none", [path] * pollers, seconds, every_s, tags=True)
            found[path] = read(watch(order).communicate()[0])
    return found


@contextmanager
def bare(cores: set[int] | None = None) -> Iterator[tuple[int, int]]:
    """Such a server in a process of its own, on these cores if they are named; its port, and the process's id."""
    with ExitStack() as ended:
        folder = Path(ended.enter_context(tempfile.TemporaryDirectory(prefix="bare-")))
        port = free_port("127.0.0.1", 0)
        server = Child("bare", [sys.executable, "-m", "benchmarks.serving.bare", str(port)], folder / "bare.log")
        server.start()
        ended.callback(server.stop, _GRACE_S)
        await_ready(server, f"http://127.0.0.1:{port}")
        assert server.pid is not None
        if cores is not None:
            keep_to(server.pid, cores)
        yield port, server.pid


async def _in_loop(request: Request) -> Response:
    return _answer(request)


async def _in_thread(request: Request) -> Response:
    return await run_in_threadpool(_answer, request)


def _answer(request: Request) -> Response:
    if request.headers.get("if-none-match") == _TAG:
        return Response(status_code=304, headers={"ETag": _TAG})
    return Response(_BODY, headers={"ETag": _TAG})


if __name__ == "__main__":
    methods = ["GET", "POST", "PUT", "PATCH", "DELETE"]
    routes = [Route("/thread", _in_thread), Route("/{anything:path}", _in_loop, methods=methods)]
    uvicorn.run(Starlette(routes=routes), port=int(sys.argv[1]), http="h11", loop="asyncio", access_log=False)

"""The API behind a real server, on a thread of the test's own process."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from service.app import create_app
from service.settings import ServiceSettings
from service.transport.connections import Crowd
from service.transport.server import StreamsFirst
from tests.e2e.system import await_that


@contextmanager
def serving(settings: ServiceSettings, most: int = 100) -> Iterator[str]:
    """The API as a process would serve it, on a free port; yields its URL."""
    app: FastAPI = create_app(settings)
    crowd = Crowd(most, apart=app.state.streams)
    config = uvicorn.Config(app, port=0, http=crowd.protocol, ws="none", log_config=None)  # type: ignore[arg-type]  # as in service.transport.server
    server = StreamsFirst(config, app.state.streams)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()))
    thread.start()
    try:
        await_that(lambda: server.started)
        host, port = server.servers[0].sockets[0].getsockname()
        yield f"http://{host}:{port}"
    finally:
        server.should_exit = True
        thread.join(90)
        assert not thread.is_alive()

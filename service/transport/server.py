"""The API as a process: its sockets, and what all its threads share."""

import asyncio
import contextlib
import errno
import logging
import os
import resource
import socket
import sys
import time
from typing import Any

import uvicorn

from service.answering.streams import MOST_LISTENERS, Streams
from service.app import create_app
from service.callers.access import HEALTH, require_safe
from service.settings import ServiceSettings
from service.transport import garbage
from service.transport.connections import Crowd

logger = logging.getLogger(__name__)

_MOST_CONNECTIONS = 1_000
_WANTED_DESCRIPTORS = 8_192
# To take a connection costs a tenth of a millisecond, and asyncio takes as many as this in a turn of its loop.
_TAKEN_AT_ONCE = 16
# As many wait with the kernel to be taken. Those that it has to refuse come again after a second, all together.
_BACKLOG = 1_024
_STOPS_WITHIN_S = 4
# How long a thread that computes may keep Python's lock from the loop, which needs it several times for each request.
_SWITCH_EVERY_S = 0.0005
_OUT_OF_RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_TELL_EVERY_S = 60.0


def serve(settings: ServiceSettings) -> None:
    """Answer until SIGTERM or SIGINT.

    Raises:
        AccessUnsafe: everybody or nobody could open it where it is to listen.
    """
    sys.setswitchinterval(_SWITCH_EVERY_S)
    # Read by torch when it is loaded. It sees one picture at a time here, beside the workers: two threads that waited
    # for each other computed 49 ms where one does 8.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(settings, _descriptors()))


async def _serve(settings: ServiceSettings, descriptors: int) -> None:
    asyncio.get_running_loop().set_exception_handler(Complaints())
    # Half for requests, a quarter for streams, the rest for files, the database and the broker.
    app = create_app(settings, most_streams=min(MOST_LISTENERS, descriptors // 4))
    crowd = Crowd(min(_MOST_CONNECTIONS, descriptors // 2), apart=app.state.streams, at_once=HEALTH)
    require_safe(settings, app.state.database)
    garbage.let_be()
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=crowd.protocol,  # type: ignore[arg-type]  # it is called as the class would be
        ws="none",
        loop="asyncio",
        backlog=_TAKEN_AT_ONCE,
        timeout_graceful_shutdown=_STOPS_WITHIN_S,
        server_header=False,
        # It would believe every process of this machine; `service.app` believes those that are named.
        proxy_headers=False,
        # As `store.logs` has it.
        log_config=None,
        # Whoever watches a job asks several times a second, for hours. What fails is logged under its request's id.
        access_log=False,
    )
    server = StreamsFirst(config, app.state.streams)
    collecting = asyncio.create_task(garbage.collect(lambda: server.is_quiet))
    await server.serve()
    collecting.cancel()


class StreamsFirst(uvicorn.Server):
    """uvicorn's, which would wait in vain for streams to end before it stops."""

    def __init__(self, config: uvicorn.Config, streams: Streams) -> None:
        super().__init__(config)
        self._streams = streams

    @property
    def is_quiet(self) -> bool:
        """Whether nobody waits for an answer but on streams."""
        return len(self.server_state.tasks) <= len(self._streams)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for server in self.servers:
            for listening in server.sockets:
                # asyncio has one number for both.
                with socket.socket(fileno=os.dup(listening.fileno())) as same:
                    same.listen(_BACKLOG)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._streams.close()
        await super().shutdown(sockets)


def _descriptors() -> int:
    """How many descriptors this process may have open, raised as far as it may and needs to."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max(soft, min(_WANTED_DESCRIPTORS, hard))
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


class Complaints:
    """What the loop has to say: of connections that it cannot take, for want of descriptors, once a minute.

    It would say so a hundred times a second for as long as that lasts, each with a traceback.
    """

    def __init__(self) -> None:
        self._told: float | None = None

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if not (isinstance(error, OSError) and error.errno in _OUT_OF_RESOURCES):
            loop.default_exception_handler(context)
        elif self._told is None or time.monotonic() - self._told > _TELL_EVERY_S:
            self._told = time.monotonic()
            logger.error("New connections must wait: %s. Raise the limit of open files (ulimit -n).", error.strerror)

"""What an open stream holds in memory."""

import gc
import socket
import weakref
from contextlib import ExitStack

import pytest

from service.answering.streams import Listener, Topic
from service.settings import ServiceSettings
from store.accounts.tokens import Caller
from tests.e2e.system import await_that
from tests.service.serving import serving


def test_a_stream_holds_few_objects_and_not_itself(settings: ServiceSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A search for garbage looks through those that were opened since the last, and finds none that it has let be.

    It is gone as soon as its client is.
    """
    listeners: weakref.WeakSet[Listener] = weakref.WeakSet()

    class Noted(Listener):
        def __init__(self, topic: Topic, caller: Caller | None) -> None:
            super().__init__(topic, caller)
            listeners.add(self)

    monkeypatch.setattr("service.answering.streams.Listener", Noted)
    request = b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n"

    def opened(address: tuple[str, int], count: int, streams: ExitStack) -> int:
        for _ in range(count):
            line = streams.enter_context(socket.create_connection(address, timeout=90))
            line.sendall(request)
            assert line.recv(12) == b"HTTP/1.1 200"
        gc.collect()
        gc.freeze()
        # To list them all would hold one that a thread of the server is making, which then fails.
        return gc.get_freeze_count()

    with serving(settings) as url, ExitStack() as streams:
        host, _, port = url.removeprefix("http://").partition(":")
        few = opened((host, int(port)), 5, streams)
        many = opened((host, int(port)), 25, streams)
        gc.disable()
        try:
            streams.close()
            await_that(lambda: not listeners, 10)
        finally:
            gc.enable()
            gc.unfreeze()
    # 244 where they were sent from inside the app.
    assert (many - few) / 25 < 130

"""What a server's sockets take: half requests, two lengths, too many at once, and clients that do not read."""

import asyncio
import gc
import json
import socket
import threading
import weakref
from asyncio.selector_events import _SelectorSocketTransport  # type: ignore[attr-defined]  # not in its public API
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from typing import Any

import pytest
import uvicorn

from service.answering.streams import Streams
from service.callers.access import HEALTH, Access
from service.settings import ServiceSettings
from service.transport import connections
from service.transport.connections import Crowd
from service.transport.edge import Edge
from service.transport.server import Complaints, StreamsFirst
from store.database import Database
from tests.e2e.system import await_that

GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
LONG_ANSWER = 20_000_000


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Reads nothing of /unread; answers with many bytes at /long and echoes the length of a body elsewhere."""
    content = b"x" * LONG_ANSWER if scope["path"] == "/long" else b""
    if scope["path"] == "/length":
        more, length = True, 0
        while more:
            message = await receive()
            length += len(message["body"])
            more = message["more_body"]
        content = str(length).encode()
    headers = [(b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": content})


@contextmanager
def serving(settings: ServiceSettings, crowd: Crowd) -> Iterator[tuple[uvicorn.Server, tuple[str, int]]]:
    """A server of the crowd's connections on a free port."""
    config = uvicorn.Config(
        Edge(app, settings, Access(settings, Database(settings.database_url))),
        port=0,
        http=crowd.protocol,  # type: ignore[arg-type]  # it is called as the class would be
        ws="none",
        lifespan="off",
        log_config=None,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()))
    thread.start()
    try:
        await_that(lambda: server.started)
        yield server, server.servers[0].sockets[0].getsockname()
    finally:
        server.should_exit = True
        thread.join(90)


@pytest.fixture
def address(settings: ServiceSettings) -> Iterator[tuple[str, int]]:
    with serving(settings, Crowd(100)) as (_, address):
        yield address


def connected(address: tuple[str, int]) -> socket.socket:
    return socket.create_connection(address, timeout=60)


def answers(client: socket.socket) -> bytes:
    """All that comes until the server closes."""
    pieces = iter(lambda: client.recv(65_536), b"")
    return b"".join(pieces)


def asked(address: tuple[str, int], request: bytes) -> bytes:
    with connected(address) as client:
        client.sendall(request)
        return answers(client)


def is_problem(answer: bytes, status: int, kind: str) -> bool:
    head, _, body = answer.partition(b"\r\n\r\n")
    told = json.loads(body)
    identifier = f"x-request-id: {told['request_id']}".encode()
    return (
        head.startswith(b"HTTP/1.1 %d " % status)
        and b"content-type: application/problem+json" in head
        and b"x-content-type-options: nosniff" in head
        and identifier in head
        and (told["status"], told["type"]) == (status, f"urn:gauntlet:problem:{kind}")
    )


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (GET + b"X: " + b"x" * 40_000 + b"\r\n\r\n", 431),
        (GET + b"X: x\r\n" * 120 + b"\r\n", 431),
        (GET + b"Transfer-Encoding: gzip\r\n\r\n", 501),
        (GET + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (GET + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (GET + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST /length HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ],
    ids=lambda value: str(value)[:60],
)
def test_what_is_no_http_is_a_problem(address: tuple[str, int], request_: bytes, status: int) -> None:
    """Also what could be read in two ways. The connection closes, so nothing that follows is read as a request."""
    assert is_problem(asked(address, request_ + GET + b"\r\n"), status, "invalid-http")


def test_a_chunked_body_is_read_whole(address: tuple[str, int]) -> None:
    """Whatever its chunks are; and another request follows on the same connection."""
    chunks = b"".join(b"%x\r\n%s\r\n" % (size, b"x" * size) for size in [1] * 3_000 + [15_000, 7])
    post = b"POST /length HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
    answer = asked(address, post + b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert answer.count(b"HTTP/1.1 200 ") == 2
    assert b"\r\n\r\n18007HTTP" in answer


def test_a_short_answer_is_sent_at_once(address: tuple[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Its head with its body: for each piece the loop gives Python's lock away, and waits until it has it again."""
    sent: list[bytes] = []
    write = _SelectorSocketTransport.write

    def noted(transport: _SelectorSocketTransport, data: bytes) -> None:
        sent.append(data)
        write(transport, data)

    monkeypatch.setattr(_SelectorSocketTransport, "write", noted)
    with connected(address) as client:
        for request in (GET + b"\r\n", GET.replace(b"GET", b"HEAD") + b"\r\n", b"no http\r\n\r\n"):
            client.sendall(request)
            assert client.recv(5) == b"HTTP/"
            client.recv(65_536)
    assert [data[:12] for data in sent if data] == [b"HTTP/1.1 200", b"HTTP/1.1 200", b"HTTP/1.1 400"]


def test_of_a_herd_few_begin_in_a_turn_of_the_loop() -> None:
    """And whoever asks whether the service lives is answered in the turn in which it asks, though it came last."""

    async def answered() -> list[list[str]]:
        crowd = Crowd(100, at_once=HEALTH)
        turns: list[list[str]] = [[]]

        async def noted(scope: Any, _receive: Any, _send: Any) -> None:
            turns[-1].append(scope["path"])

        herd = [
            asyncio.ensure_future(crowd.answer(noted, {"path": path}, None, None))  # type: ignore[arg-type]  # unused
            for path in (*["/v1/runs"] * 50, "/healthz")
        ]
        while not all(one.done() for one in herd):
            await asyncio.sleep(0)
            turns.append([])
        return turns

    turns = asyncio.run(answered())
    assert turns[0] == ["/v1/runs"] * 4 + ["/healthz"]
    assert max(map(len, turns[1:])) == 4
    assert sum(map(len, turns)) == 51


def test_all_that_come_are_taken_a_few_at_a_time(settings: ServiceSettings) -> None:
    """None is refused by the kernel, which would have it come again after a second."""

    async def taken() -> list[int]:
        crowd = Crowd(1_000)
        config = uvicorn.Config(app, port=0, http=crowd.protocol, lifespan="off", log_config=None, backlog=16)  # type: ignore[arg-type]  # it is called as the class would be
        config.load()
        server = StreamsFirst(config, Streams(Database(settings.database_url)))
        server.lifespan = config.lifespan_class(config)
        await server.startup()
        address = server.servers[0].sockets[0].getsockname()
        with ExitStack() as clients:
            for _ in range(300):
                # The loop does nothing meanwhile.
                clients.enter_context(socket.create_connection(address, timeout=0.5))
            counts = [0]
            while counts[-1] < 300:
                await asyncio.sleep(0)
                counts.append(len(server.server_state.connections))
        server.should_exit = True
        await server.shutdown()
        return counts

    counts = asyncio.run(taken())
    assert max(later - earlier for earlier, later in pairwise(counts)) <= 16


@pytest.mark.parametrize("begun", [b"", GET, b"GET /healthz"])
def test_a_request_that_does_not_come_is_not_waited_for(settings: ServiceSettings, begun: bytes) -> None:
    """Whoever connects and says nothing is left; whoever began is told. Trickling on does not help."""
    with serving(settings, Crowd(100, head_s=1)) as (_, address), connected(address) as client:
        client.sendall(begun)
        answer = answers(client)
        assert is_problem(answer, 408, "request-timeout") if begun else answer == b""


def test_a_trickle_is_no_request(settings: ServiceSettings) -> None:
    """A byte now and then starts no new wait."""
    with serving(settings, Crowd(100, head_s=1)) as (_, address), connected(address) as client:
        client.sendall(GET + b"X: ")
        refused = threading.Event()

        def trickle() -> None:
            while not refused.wait(0.05):
                client.sendall(b"x")

        feeder = threading.Thread(target=trickle)
        feeder.start()
        answer = answers(client)
        refused.set()
        feeder.join()
        assert is_problem(answer, 408, "request-timeout")


@pytest.mark.parametrize(("path", "status"), [("/v1/experiments", 413), ("/unread", 200)])
def test_who_sends_all_before_reading_has_the_answer(address: tuple[str, int], path: str, status: int) -> None:
    """A body of 20 MB, far more than sockets hold: what is not wanted of it is dropped, and the connection closes."""
    body = bytes(20_000_000 if status == 413 else 15_000)
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    answer = asked(address, head.encode() + body)
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"connection: close" in answer


def test_a_refused_body_has_a_bound(address: tuple[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond it the connection ends, whether or not its client has read the answer."""
    monkeypatch.setattr(connections, "_LONGEST_REST", 1_000_000)
    with connected(address) as client, pytest.raises(ConnectionError):
        client.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900000000\r\n\r\n" + bytes(20_000_000))


def test_the_rest_of_a_refused_body_is_not_read_for_ever(settings: ServiceSettings) -> None:
    """An answer may come before its body's end: what follows is dropped for a while, and then its connection."""
    post = b"POST /unread HTTP/1.1\r\nHost: localhost\r\nContent-Length: 19000\r\n\r\n"
    with serving(settings, Crowd(100, head_s=1)) as (server, address), connected(address) as client:
        client.sendall(post)
        assert client.recv(65_536).startswith(b"HTTP/1.1 200 ")
        await_that(lambda: not server.server_state.connections)


def test_an_answer_that_is_not_taken_is_not_kept(settings: ServiceSettings) -> None:
    """A client that asks for much and reads nothing is left; one that reads has it all."""
    crowd = Crowd(100, stall_s=0.3)
    ask = b"GET /long HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    with serving(settings, crowd) as (server, address):
        assert len(asked(address, ask)) > LONG_ANSWER
        with connected(address) as client:
            client.sendall(ask)
            client.recv(1)
            await_that(lambda: not server.server_state.connections)
            assert len(answers(client)) < LONG_ANSWER


def test_a_full_house_takes_whoever_asks(settings: ServiceSettings) -> None:
    """Where all places are taken by those who ask nothing, the one that waits longest gives way to a request."""
    with serving(settings, Crowd(5)) as (_, address), ExitStack() as open_:
        silent = [open_.enter_context(connected(address)) for _ in range(8)]
        assert asked(address, GET + b"Connection: close\r\n\r\n").startswith(b"HTTP/1.1 200 ")
        for client in silent[:4]:
            assert client.recv(1) == b""


def test_where_everybody_is_being_answered_the_next_is_refused(settings: ServiceSettings) -> None:
    """503 with Retry-After, for nobody could give way."""
    with serving(settings, Crowd(0)) as (_, address):
        answer = asked(address, GET + b"\r\n")
    assert is_problem(answer, 503, "busy")
    assert b"retry-after: 2" in answer


def test_without_descriptors_the_log_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    """And not for each attempt at each connection; other complaints are told as ever."""
    complaints = Complaints()
    loop = asyncio.new_event_loop()
    for _ in range(1_000):
        complaints(loop, {"message": "accept", "exception": OSError(24, "Too many open files")})
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "ulimit -n" in caplog.text
    complaints(loop, {"message": "something else", "exception": OSError(5, "Input/output error")})
    assert "something else" in caplog.text
    loop.close()


def test_what_has_ended_lets_go_of_itself(settings: ServiceSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection is gone with its client, which asked nothing, was answered or was refused: no search finds it."""
    made: list[weakref.ref[connections.Connection]] = []
    transports: weakref.WeakSet[_SelectorSocketTransport] = weakref.WeakSet()
    began = _SelectorSocketTransport.__init__

    def begin(transport: _SelectorSocketTransport, *told: Any, **named: Any) -> None:
        transports.add(transport)
        began(transport, *told, **named)

    monkeypatch.setattr(_SelectorSocketTransport, "__init__", begin)

    class Noted(Crowd):
        def protocol(self, *told: Any, **named: Any) -> connections.Connection:
            one = super().protocol(*told, **named)
            made.append(weakref.ref(one))
            return one

    gc.disable()
    try:
        with serving(settings, Noted(100)) as (_, address):
            for sent in (
                b"",
                GET + b"\r\n",
                b"no http\r\n\r\n",
                GET + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            ):
                with connected(address) as client:
                    client.sendall(sent)
                    if sent:
                        assert client.recv(5) == b"HTTP/"
            await_that(lambda: len(made) == 4 and all(one() is None for one in made), 10)
            await_that(lambda: not transports, 10)
    finally:
        gc.enable()

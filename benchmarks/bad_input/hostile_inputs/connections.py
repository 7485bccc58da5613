"""Connections that ask nothing, ask slowly, take nothing of what they are answered, or are no HTTP."""

import contextlib
import socket
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack

from benchmarks.bad_input.hostile_inputs.sending import Answers, Input
from benchmarks.serving.served import Served

_MEBI = 1 << 20


def connections(report: str) -> Iterator[Input]:
    """All of them; `report` is the path of something long to read."""
    yield Input("1,500 connections that ask nothing", "held for 3 s", lambda api: _held(api, 1_500, b"", 3))
    half = b"POST /v1/experiments HTTP/1.1\r\nHost: localhost\r\n"
    yield Input("500 heads cut off", "held for 3 s", lambda api: _held(api, 500, half, 3))
    yield Input("300 bodies, a byte at a time", "for 3 s", lambda api: _trickled(api, 300, 3))
    yield Input("500 streams of events", "while 1,000 events are written", _streamed)
    yield Input(
        "20 clients that take nothing of a report", "held for 3 s", lambda api: _held(api, 20, _asked(api, report), 3)
    )
    yield Input("a body in 300,000 chunks of a byte", "", lambda api: _sent(api, 1, _chunks(api, 300_000)))
    yield Input("50 such at once", "of 20,000 chunks", lambda api: _sent(api, 50, _chunks(api, 20_000)))
    yield Input(
        "10,000 requests at once on a connection", "", lambda api: _sent(api, 1, _asked(api, "/healthz") * 10_000)
    )
    yield Input("no HTTP", "200 connections with 64 kB of noise", lambda api: _sent(api, 200, bytes(range(256)) * 256))
    yield Input(
        "a body's length told in two ways",
        "100 connections",
        lambda api: _sent(api, 100, half + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    )
    yield Input("connections opened and closed", "1,000", _opened)


def _connected(api: Served) -> socket.socket:
    line = socket.create_connection(("127.0.0.1", api.settings.port), timeout=30)
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return line


def _head(api: Served, asked: str, *headers: str) -> bytes:
    shown = f"Authorization: {api.bearer('admin')['Authorization']}"
    return "\r\n".join([f"{asked} HTTP/1.1", "Host: localhost", shown, *headers, "", ""]).encode()


def _asked(api: Served, path: str) -> bytes:
    return _head(api, f"GET {path}")


def _status(line: socket.socket) -> str:
    """What a connection is answered with first, or how it ended."""
    try:
        begun = line.recv(64)
    except OSError as error:
        return type(error).__name__
    return begun[9:12].decode("ascii", "replace") if begun.startswith(b"HTTP/1.1 ") else "closed"


def _held(api: Served, count: int, begun: bytes, seconds: float) -> Answers:
    """Open so many connections, send that much of each, and do nothing more; what came meanwhile."""
    answers: Answers = Counter()
    with ExitStack() as open_lines:
        lines = []
        for _ in range(count):
            try:
                line = open_lines.enter_context(_connected(api))
                line.sendall(begun)
                lines.append(line)
            except OSError as error:
                answers[type(error).__name__] += 1
        time.sleep(seconds)
        for line in lines:
            line.setblocking(False)
            try:
                answers["open" if line.recv(1, socket.MSG_PEEK) else "closed"] += 1
            except BlockingIOError:
                answers["open"] += 1
            except OSError as error:
                answers[type(error).__name__] += 1
    return answers


def _trickled(api: Served, count: int, seconds: float) -> Answers:
    head = _head(api, "POST /v1/experiments", "Content-Type: application/json", "Content-Length: 1000000")
    answers: Answers = Counter()
    with ExitStack() as open_lines:
        lines = [open_lines.enter_context(_connected(api)) for _ in range(count)]
        for line in lines:
            line.sendall(head)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for line in lines:
                with contextlib.suppress(OSError):
                    line.send(b" ")
            time.sleep(0.2)
        answers["open"] = len(lines)
    return answers


def _streamed(api: Served) -> Answers:
    """500 streams of everything that happens, while 50 experiments of ten runs are asked for."""
    request = _head(api, "GET /v1/events", "Accept: text/event-stream")
    answers: Answers = Counter()
    spec = {"preset": "quickstart", "seeds": list(range(5))}
    with ExitStack() as open_lines, api.client("admin") as client:
        lines = [open_lines.enter_context(_connected(api)) for _ in range(500)]
        for line in lines:
            line.sendall(request)
        answers.update(map(_status, lines))
        for number in range(50):
            client.submit({**spec, "name": str(number)})
    return answers


def _sent(api: Served, count: int, content: bytes) -> Answers:
    """Send all of it on so many connections, one after the other; the first answer on each."""
    answers: Answers = Counter()
    with ExitStack() as open_lines:
        lines = [open_lines.enter_context(_connected(api)) for _ in range(count)]
        _send_to_all(lines, content, answers)
    return answers


def _send_to_all(lines: Sequence[socket.socket], content: bytes, answers: Answers) -> None:
    for line in lines:
        line.settimeout(20)
        try:
            line.sendall(content)
        except OSError:
            answers["not taken whole"] += 1
        answers[_status(line)] += 1


def _chunks(api: Served, count: int) -> bytes:
    head = _head(api, "POST /v1/experiments", "Content-Type: application/json", "Transfer-Encoding: chunked")
    return head + b"1\r\n \r\n" * count + b"0\r\n\r\n"


def _opened(api: Served) -> Answers:
    answers: Answers = Counter()
    for _ in range(1_000):
        with _connected(api):
            answers["opened"] += 1
    return answers

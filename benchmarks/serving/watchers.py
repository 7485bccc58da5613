"""Those who watch a service, many at once: pollers of a status each, and listeners of the event stream.

A process of its own (`python -m benchmarks.serving.watchers`, orders as JSON on its standard input, what it saw on its
standard output), so that what it computes is nobody else's. HTTP is written and read by hand: a library takes
longer for a request than the service does, and would measure itself.
"""

import asyncio
import json
import os
import random
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

_LAG_EVERY_S = 0.01
_TIMEOUT_S = 30.0


def quantile(values: Iterable[float], share: float) -> float:
    """The smallest value that so large a share of all does not pass."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def in_ms(seconds: Sequence[float]) -> dict[str, float]:
    """What stands in the results of so many durations."""
    told = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999}
    return {name: round(quantile(seconds, share) * 1e3, 2) for name, share in told.items()} | {
        "most": round(max(seconds) * 1e3, 2)
    }


def take_cores(cores: Iterable[int], *, first: bool) -> str:
    """Keep to these cores; `first` puts this process before all others there, if it may. Returns how it stands."""
    os.sched_setaffinity(0, cores)
    if not first:
        return "as any"
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))
    except PermissionError:
        return "as any"
    return "first"


class Line:
    """One kept connection, on which one request follows the other."""

    def __init__(self, port: int, token: str) -> None:
        self._port = port
        self._head = f"Host: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def get(self, path: str, tag: str | None = None) -> tuple[int, str | None, float]:
        """The answer's status, its tag, and how long it took from the first byte written to the last one read."""
        if self._writer is None or self._reader is None:
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        known = "" if tag is None else f"If-None-Match: {tag}\r\n"
        request = f"GET {path} HTTP/1.1\r\n{self._head}{known}\r\n".encode()
        started = time.perf_counter()
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        status = int(head[9:12])
        headers = dict(line.split(b": ", 1) for line in head.lower().split(b"\r\n")[1:-2])
        if status not in (204, 304):
            await self._reader.readexactly(int(headers[b"content-length"]))
        spent = time.perf_counter() - started
        etag = headers.get(b"etag")
        return status, None if etag is None else etag.decode(), spent

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


async def poll(order: dict[str, Any]) -> dict[str, Any]:
    """Ask again and again, each poller for its path on a connection of its own, `every_s` after each answer.

    With `tags` a poller names the tag that it has; the answers are told apart by their status.
    """
    port, token, paths, every_s = order["port"], order["token"], order["paths"], order["every_s"]
    begins = time.perf_counter() + order["warm_s"]
    ends = begins + order["seconds"]
    spent: defaultdict[int, list[float]] = defaultdict(list)
    lag: list[float] = []

    async def one(path: str) -> None:
        line, tag = Line(port, token), None
        await asyncio.sleep(random.random() * every_s)  # noqa: S311  # as people come
        while (now := time.perf_counter()) < ends:
            status, tag, seconds = await asyncio.wait_for(line.get(path, tag if order["tags"] else None), _TIMEOUT_S)
            if now >= begins:
                spent[status].append(seconds)
            await asyncio.sleep(every_s)
        line.close()

    async def own_lag() -> None:
        while time.perf_counter() < ends:
            started = time.perf_counter()
            await asyncio.sleep(_LAG_EVERY_S)
            lag.append(time.perf_counter() - started - _LAG_EVERY_S)

    cpu = time.process_time()
    await asyncio.gather(own_lag(), *map(one, paths))
    seconds = order["seconds"] + order["warm_s"]
    return {
        "answers": {str(status): len(found) for status, found in sorted(spent.items())},
        "per_second": round(sum(map(len, spent.values())) / order["seconds"], 1),
        "ms": {str(status): in_ms(found) for status, found in sorted(spent.items())},
        "own_lag_ms": in_ms(lag),
        "own_share_of_core": round((time.process_time() - cpu) / seconds, 3),
    }


class _Listening(asyncio.Protocol):
    """One stream: notes when each event came, by its id."""

    def __init__(self, request: bytes, came: defaultdict[int, list[float]]) -> None:
        self._request = request
        self._came = came
        self._rest = b""
        self.opened = asyncio.Event()
        self.is_open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        now = time.time()
        *lines, self._rest = (self._rest + data).split(b"\n")
        identifier = 0
        for line in lines:
            if line.startswith(b"HTTP/1.1 200"):
                self.is_open = True
                self.opened.set()
            elif line.startswith(b"id: "):
                identifier = int(line[4:])
            elif line.startswith(b"data: ") and identifier:
                self._came[identifier].append(now)

    def connection_lost(self, _error: Exception | None) -> None:
        self.is_open = False


async def listen(order: dict[str, Any]) -> dict[str, Any]:
    """Open so many streams of all events, say so (a line), and listen; what came when, by the event's id."""
    came: defaultdict[int, list[float]] = defaultdict(list)
    request = (
        "GET /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n"
        f"Authorization: Bearer {order['token']}\r\n\r\n"
    ).encode()
    loop = asyncio.get_running_loop()
    streams: list[_Listening] = []
    for _ in range(order["listeners"]):
        _, stream = await loop.create_connection(lambda: _Listening(request, came), "127.0.0.1", order["port"])
        streams.append(stream)
        await asyncio.sleep(0.001)
    await asyncio.wait_for(asyncio.gather(*(stream.opened.wait() for stream in streams)), _TIMEOUT_S)
    opened = sum(stream.is_open for stream in streams)
    print(json.dumps({"opened": opened}), flush=True)
    began, cpu = time.time(), time.process_time()
    await asyncio.sleep(order["seconds"])
    ended, share = time.time(), (time.process_time() - cpu) / order["seconds"]
    still = sum(stream.is_open for stream in streams)
    for stream in streams:
        stream.transport.close()
    told = {str(identifier): [len(times), max(times)] for identifier, times in came.items()}
    return {
        "opened": opened,
        "open_at_the_end": still,
        "came": told,
        "began": began,
        "ended": ended,
        "own_share_of_core": round(share, 3),
    }


def main() -> None:
    """Do what is ordered."""
    order = json.loads(sys.stdin.readline())
    standing = take_cores(order["cores"], first=order["first"])
    work = {"poll": poll, "listen": listen}[order["work"]]
    print(json.dumps(asyncio.run(work(order)) | {"scheduled": standing}), flush=True)


if __name__ == "__main__":
    main()

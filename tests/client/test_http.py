"""The client beside a service that is slow, busy or away."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import pytest

from client import GauntletClient
from client.errors import Refused
from client.http import _asked_for_s
from gauntlet.resources import Experiment, Page, Problem


class Answer(NamedTuple):
    """What the service does with one request."""

    status: int = 200
    retry_after: str | None = None
    delay_s: float = 0.0

    @property
    def body(self) -> bytes:
        if self.status == 200:
            return Page[Experiment](data=(), has_more=False, next=None).model_dump_json().encode()
        kind = "urn:gauntlet:problem:busy"
        problem = Problem(type=kind, title="Busy", status=self.status, detail="Busy.", errors=(), request_id="1")
        return problem.model_dump_json().encode()


@contextmanager
def answering(*answers: Answer) -> Iterator[tuple[str, list[str]]]:
    """A server that gives these answers in order; yields its URL and the list of the requests that came."""
    coming, seen = iter(answers), []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(f"{self.command} {self.path.partition('?')[0]}")
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            answer = next(coming)
            time.sleep(answer.delay_s)
            self.send_response(answer.status)
            self.send_header("Content-Length", str(len(answer.body)))
            if answer.retry_after is not None:
                self.send_header("Retry-After", answer.retry_after)
            self.end_headers()
            self.wfile.write(answer.body)

        do_POST = do_GET  # noqa: N815  # called by this name

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", seen
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_service_is_asked_again_when_it_says(status: int) -> None:
    """`Retry-After` is waited for, and the answer that follows is the answer."""
    with answering(Answer(status, retry_after="1"), Answer()) as (url, seen), GauntletClient(url) as client:
        started = time.monotonic()
        assert list(client.experiments()) == []
        assert time.monotonic() - started >= 1
    assert len(seen) == 2


def test_a_slow_answer_is_asked_for_again() -> None:
    """One answer that does not come in time does not end what waits for hours."""
    with answering(Answer(delay_s=0.5), Answer()) as (url, seen), GauntletClient(url, timeout_s=0.2) as client:
        assert list(client.experiments()) == []
    assert len(seen) == 2


def test_a_service_that_stays_busy_is_given_up() -> None:
    """After three repeats its problem is raised."""
    with answering(*[Answer(503)] * 4) as (url, seen), GauntletClient(url) as client:
        with pytest.raises(Refused) as refused:
            list(client.experiments())
        assert refused.value.problem.status == 503
    assert len(seen) == 4


def test_an_import_is_not_repeated(tmp_path: Path) -> None:
    """It has no Idempotency-Key, and a second one would be a second checkpoint."""
    (tmp_path / "weights").write_bytes(b"x")
    with (
        answering(Answer(503, retry_after="1")) as (url, seen),
        GauntletClient(url) as client,
        pytest.raises(Refused),
    ):
        client.import_checkpoint(tmp_path / "weights", {})
    assert seen == ["POST /v1/checkpoints"]


@pytest.mark.parametrize(
    ("said", "seconds"), [("2", 2), ("86400", 30), ("Wed, 21 Oct 2015 07:28:00 GMT", 0), ("-1", 0)]
)
def test_the_wait_is_bounded(said: str, seconds: float) -> None:
    """Half a minute at most, and only what is said in seconds."""
    assert _asked_for_s(httpx2.Response(503, headers={"Retry-After": said})) == seconds

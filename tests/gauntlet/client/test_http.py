"""The client beside a service that is slow, busy or away."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import pytest

from gauntlet.client import GauntletClient
from gauntlet.client.errors import GauntletClientError, Refused, Unintelligible, Unreachable
from gauntlet.client.repeats import asked_for_s
from gauntlet.resources import Experiment, Page, Problem
from tests.reports import made_up


class Answer(NamedTuple):
    """What the service does with one request."""

    status: int = 200
    retry_after: str | None = None
    delay_s: float = 0.0
    body: bytes | None = None
    encoding: str | None = None

    @property
    def content(self) -> bytes:
        if self.body is not None:
            return self.body
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
            self.send_header("Content-Length", str(len(answer.content)))
            if answer.retry_after is not None:
                self.send_header("Retry-After", answer.retry_after)
            if answer.encoding is not None:
                self.send_header("Content-Encoding", answer.encoding)
            self.end_headers()
            self.wfile.write(answer.content)

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


def test_what_a_later_service_says_besides_is_left_out() -> None:
    """In a report, in its rows, and in what evaluations found too, whose values refuse unknown fields of requests."""
    report = made_up()
    told = report.model_dump(mode="json")
    for place in (told, told["rows"][0], told["rows"][0]["outcome"], told["rows"][0]["outcome"]["attacks"][0]):
        place["later"] = {"version": 3}
    answer = Answer(body=json.dumps(told).encode())
    with answering(answer) as (url, _), GauntletClient(url) as client:
        assert client.report("exp_1") == report


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
    # On a busy machine the others may be slow, too.
    answers = Answer(delay_s=1), Answer(), Answer(), Answer()
    with answering(*answers) as (url, seen), GauntletClient(url, timeout_s=0.5) as client:
        assert list(client.experiments()) == []
    assert len(seen) > 1


def test_a_service_that_stays_busy_is_given_up() -> None:
    """After three repeats its problem is raised."""
    with answering(*[Answer(503)] * 4) as (url, seen), GauntletClient(url) as client:
        with pytest.raises(Refused) as refused:
            client._http.send("GET", "/v1/runs", pauses_s=(0, 0, 0))
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
    assert asked_for_s(httpx2.Response(503, headers={"Retry-After": said})) == seconds


@pytest.mark.parametrize(
    ("answer", "may_pass"),
    [
        (Answer(body=b"<!doctype html><h1>Hello</h1>"), False),
        (Answer(body=b'{"data": [{"id": "exp_1"}], "has_more": false, "next": null}'), False),
        (Answer(body=b'{"data": ['), False),
        (Answer(status=404, body=b"<h1>Not here</h1>"), False),
        (Answer(status=301, body=b""), False),
        (Answer(status=502, body=b"<h1>Bad gateway</h1>"), True),
        (Answer(status=500, body=b"Internal Server Error"), True),
    ],
)
def test_what_is_no_gauntlets_answer_is_told_in_a_sentence(answer: Answer, may_pass: bool) -> None:
    """A page, half an answer, another version's, a gateway's: one sentence with the address and the status."""
    with answering(answer) as (url, _), GauntletClient(url) as client:
        with pytest.raises(Unintelligible, match=f"{url} answers, but not as a Gauntlet .*{answer.status}") as told:
            list(client.experiments())
        assert "\n" not in str(told.value)
        assert told.value.may_pass is may_pass


def test_an_answer_that_cannot_be_unpacked_is_no_answer() -> None:
    """A body that is not compressed as its header says."""
    with (
        answering(*[Answer(body=b"plain", encoding="gzip")] * 4) as (url, _),
        GauntletClient(url) as client,
        pytest.raises(Unreachable),
    ):
        list(client.experiments())


def test_an_error_of_the_service_names_the_request() -> None:
    """Its log has what went wrong under that name."""
    with (
        answering(Answer(500)) as (url, _),
        GauntletClient(url) as client,
        pytest.raises(Refused, match=r"Busy\. \(request 1\)"),
    ):
        list(client.experiments())


@pytest.mark.parametrize(
    "url", ["localhost:8000", "foo", "ftp://h", "http://", "http://h:port", "http://[::1", "http://h:99999"]
)
def test_what_is_no_address_is_told_in_a_sentence(url: str) -> None:
    """It says what one looks like."""
    with pytest.raises(GauntletClientError, match=r"is no address of a service; one looks like http://"):
        GauntletClient(url)


def test_an_addresss_password_is_not_shown() -> None:
    """In messages the address stands without it."""
    with GauntletClient("http://me:secret@127.0.0.1:9") as client:
        assert client.url == "http://127.0.0.1:9"


@pytest.mark.parametrize("token", ["two words", "line\nbreak", "snow☃", ""])
def test_what_can_be_no_token_is_told(token: str) -> None:
    """Not by the HTTP library's own error, which would show the token; an empty one is none."""
    if token:
        with pytest.raises(GauntletClientError, match="GAUNTLET_TOKEN") as told:
            GauntletClient("http://127.0.0.1:9", token=token)
        assert token not in str(told.value)
    else:
        GauntletClient("http://127.0.0.1:9", token=token).close()


@pytest.mark.parametrize("identifier", ["", "a/b", "..", "exp_1?x=y", "exp 1", "exp_\n", "é" * 3, "x" * 101])
def test_what_can_be_no_id_is_not_sent(identifier: str) -> None:
    """It would be another path, and the answer about something else."""
    with answering() as (url, seen), GauntletClient(url) as client:
        with pytest.raises(GauntletClientError, match="is no id"):
            client.experiment(identifier)
        assert seen == []


@pytest.mark.parametrize("value", [float("nan"), object(), {1, 2}])
def test_what_json_cannot_hold_is_told(value: object) -> None:
    """In a submission and in a card."""
    with answering() as (url, seen), GauntletClient(url) as client:
        with pytest.raises(GauntletClientError, match="cannot be written as JSON"):
            client.submit({"name": value})
        assert seen == []


def test_what_no_request_can_hold_is_told() -> None:
    """In what a list is filtered by and in a key."""
    with answering() as (url, seen), GauntletClient(url) as client:
        for ask in (
            lambda: list(client.experiments(name="caf\udce9")),
            lambda: client.submit({"preset": "quickstart"}, idempotency_key="caf\u00e9"),
        ):
            with pytest.raises(GauntletClientError, match="cannot be written"):
                ask()
        assert seen == []

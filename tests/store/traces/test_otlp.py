"""Spans are sent by OTLP, and no collector holds anybody up."""

import logging
import os
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from gauntlet.settings import SettingsInvalid
from store.traces.otlp import Sender
from store.traces.spans import Span, below
from tests.collector import Collector, collecting

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture(autouse=True)
def said(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Of this machine's variables none; OpenTelemetry's log as it was, when the test is over."""
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)
    theirs = logging.getLogger("opentelemetry")
    before = theirs.propagate, theirs.handlers
    yield
    theirs.propagate, theirs.handlers = before


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    with collecting() as collector:
        for name, value in collector.settings.items():
            monkeypatch.setenv(name, value)
        yield collector


def a_span(parent: str) -> Span:
    return Span("queued", below(parent), parent, 1.5, 2.25, {"gauntlet.attempt": 3}, "storage")


def test_a_span_arrives_as_it_was_told(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    """In its caller's trace, below its parent, with its own id, times, attributes and error, once the sender closes."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20of-the-collector")
    sender = Sender("gauntlet-api", "here:1")
    opened = sender.open("POST", CALLER)
    assert opened.place is not None
    told = a_span(opened.place)
    sender.tell(told)
    opened.end("POST /v1/experiments", {"http.route": "/v1/experiments"}, follows=[below(CALLER, "a" * 16)])
    sender.close()
    queued, request = collector.spans
    assert (request.trace, request.parent) == (CALLER[3:35], CALLER[36:52])
    assert (request.name, request.is_error, request.links) == (
        "POST /v1/experiments",
        False,
        ((CALLER[3:35], "a" * 16),),
    )
    assert told.place == f"00-{queued.trace}-{queued.id}-{opened.place[53:]}"
    assert (queued.parent, queued.began, queued.ended) == (request.id, 1.5, 2.25)
    assert (queued.attributes, queued.is_error) == ({"gauntlet.attempt": 3, "error.type": "storage"}, True)
    assert queued.service == "gauntlet-api"
    assert b"of-the-collector" not in collector.raw


@pytest.mark.usefixtures("collector")
@pytest.mark.parametrize("header", ["00-1-2-01", f"ff{CALLER[2:]}", CALLER.replace("b7ad6b7169203331", "0" * 16)])
def test_what_is_no_traceparent_begins_a_trace(header: str) -> None:
    """A header that W3C's rules call invalid is as none."""
    sender = Sender("gauntlet-api", "here:1")
    place = sender.open("POST", header).place
    sender.close()
    assert place is not None
    assert CALLER[3:35] not in place


def test_a_caller_who_does_not_record_decides_for_all_that_follows(collector: Collector) -> None:
    """Its flag stays on the place that is stored, and no span below it is sent."""
    sender = Sender("gauntlet-api", "here:1")
    opened = sender.open("POST", f"{CALLER[:-2]}00")
    assert opened.place is not None
    assert opened.place.endswith("-00")
    sender.tell(a_span(opened.place))
    opened.end("POST", {})
    sender.close()
    assert collector.spans == []


def test_the_sdk_may_be_disabled(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then a request has no place in any trace, unless its caller's."""
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    sender = Sender("gauntlet-api", "here:1")
    opened = sender.open("POST", None)
    opened.end("POST", {})
    sender.close()
    assert (opened.place, collector.spans) == (None, [])


def test_the_environment_says_what_a_process_is_called(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    """OTEL_SERVICE_NAME counts before our own name."""
    monkeypatch.setenv("OTEL_SERVICE_NAME", "robustness")
    sender = Sender("gauntlet-worker", "here:1")
    sender.tell(a_span(CALLER))
    sender.close()
    assert [span.service for span in collector.spans] == ["robustness"]


@pytest.fixture(params=["away", "hangs"])
def useless(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a collector that refuses connections, or takes them and never says a word."""
    before = set(threading.enumerate())
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        if request.param == "hangs":
            listening.listen(16)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    # What still speaks to it gives up now, and would say so in the midst of another test.
    for thread in set(threading.enumerate()) - before:
        thread.join(60)
        assert not thread.is_alive(), thread


def test_a_collector_that_takes_nothing_holds_nobody_up(
    useless: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Spans beyond all room are told in no time, little is said of it, and the end waits two seconds at most."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", useless)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    # Seconds that one try may take with all its repetitions: longer than the end waits.
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "4")
    # So that few batches are still to be given up when the test is over.
    for name in ("OTEL_BSP_MAX_QUEUE_SIZE", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE"):
        monkeypatch.setenv(name, "256")
    # OpenTelemetry keeps to itself what it has said just before, here of the collector of another test.
    for each in logging.getLogger("opentelemetry.sdk._shared_internal").filters:
        monkeypatch.delattr(each, "last_log", raising=False)
    before = threading.active_count()
    sender = Sender("gauntlet-worker", "here:1")
    waited = []
    for _ in range(1_000):
        span = a_span(CALLER)
        began = time.thread_time()
        sender.tell(span)
        waited.append(time.thread_time() - began)
    began = time.monotonic()
    sender.close()
    # A bound of the test's own machine: the wait itself is two seconds.
    assert time.monotonic() - began < 10
    assert threading.active_count() <= before + 2
    assert max(waited) < 1
    assert sum(record.getMessage().startswith("Spans: ") for record in caplog.records) == 1


def test_variables_that_the_exporter_cannot_take_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """In one sentence, as all settings are."""
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "-1")
    with pytest.raises(SettingsInvalid, match="OpenTelemetry's exporter cannot be made"):
        Sender("gauntlet-api", "here:1")

"""A collector of spans: a server that takes OTLP by HTTP, and reads it with OpenTelemetry's own messages."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Status


@dataclass(frozen=True)
class Received:
    """One span, ids as hexadecimal digits and times in seconds since 1970."""

    name: str
    trace: str
    id: str
    parent: str
    began: float
    ended: float
    attributes: dict[str, Any]
    is_error: bool
    links: tuple[tuple[str, str], ...]
    service: str


class Collector:
    """What was received so far, and all of it as bytes."""

    def __init__(self) -> None:
        self.spans: list[Received] = []
        self.raw = b""
        self.port = 0

    @property
    def settings(self) -> dict[str, str]:
        """What has a process send its spans here, soon."""
        return {
            "GAUNTLET_TRACES": "on",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self.port}",
            "OTEL_BSP_SCHEDULE_DELAY": "100",
        }

    def of(self, trace: str, name: str | None = None) -> list[Received]:
        """The spans of a trace in the order of their beginnings, of one name if it is given."""
        found = [span for span in list(self.spans) if span.trace == trace and name in (None, span.name)]
        return sorted(found, key=lambda span: span.began)

    def take(self, body: bytes) -> None:
        self.raw += body
        for of_process in ExportTraceServiceRequest.FromString(body).resource_spans:
            about = {each.key: each.value.string_value for each in of_process.resource.attributes}
            for scope in of_process.scope_spans:
                for span in scope.spans:
                    self.spans.append(
                        Received(
                            span.name,
                            span.trace_id.hex(),
                            span.span_id.hex(),
                            span.parent_span_id.hex(),
                            span.start_time_unix_nano / 1e9,
                            span.end_time_unix_nano / 1e9,
                            {each.key: _value(each.value) for each in span.attributes},
                            span.status.code == Status.STATUS_CODE_ERROR,
                            tuple((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
                            about["service.name"],
                        )
                    )


def _value(value: Any) -> Any:
    return getattr(value, value.WhichOneof("value"))


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector on a port of its own, until the block ends."""
    collector = Collector()

    class Taker(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # the server's name
            body = self.rfile.read(int(self.headers["content-length"]))
            assert self.path == "/v1/traces"
            collector.take(body)
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Taker)
    collector.port = server.server_address[1]
    serving = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    serving.start()
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()
        serving.join()

"""Sends spans by OTLP over HTTP, with OpenTelemetry's SDK: where to, how many at once and which are told by OTEL_*.

The one module that loads it. Whoever hands over a span never waits: a thread sends what is gathered, and where the
collector is away or slow what finds no room is dropped (OTEL_BSP_MAX_QUEUE_SIZE, 2,048).
"""

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import (
    SERVICE_INSTANCE_ID,
    SERVICE_NAME,
    SERVICE_VERSION,
    OTELResourceDetector,
    Resource,
)
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, StatusCode, TraceFlags
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

import gauntlet
from gauntlet.settings import SettingsInvalid
from store.traces.spans import Attributes, Span

logger = logging.getLogger(__name__)

_CLOSES_WITHIN_S: Final = 2.0
_COMPLAINS_EVERY_S: Final = 60.0
_NANOSECONDS: Final = 1_000_000_000
_EXPORTER: Final = "opentelemetry.exporter.otlp.proto.http.trace_exporter"


@dataclass(frozen=True)
class Opened:
    """A span that has begun; `place` is None where it is not part of any trace (OTEL_SDK_DISABLED)."""

    place: str | None
    _span: trace.Span

    def end(self, name: str, attributes: Attributes, *, error: str | None = None, follows: Sequence[str] = ()) -> None:
        """End it, under the name that is known by now."""
        self._span.update_name(name)
        for place in follows:
            self._span.add_link(_context_of(place))
        _finish(self._span, attributes, error)
        self._span.end()


class Sender:
    """Sends the spans of one process."""

    def __init__(self, service: str, instance: str) -> None:
        """Called so, unless the environment says otherwise.

        Raises:
            SettingsInvalid: OpenTelemetry cannot make anything of its variables.
        """
        _complain_seldom()
        ours = {SERVICE_NAME: service, SERVICE_INSTANCE_ID: instance, SERVICE_VERSION: gauntlet.__version__}
        # What the environment says of the process counts before what we say.
        resource = Resource.create(ours).merge(OTELResourceDetector().detect())
        self._ids = _Ids()
        try:
            self._provider = TracerProvider(resource=resource, id_generator=self._ids, shutdown_on_exit=False)
            self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        except (ValueError, OSError) as error:
            told = "OpenTelemetry's exporter cannot be made of its variables"
            raise SettingsInvalid(f"{told} (OTEL_EXPORTER_OTLP_…, OTEL_BSP_…): {type(error).__name__}.") from error
        self._tracer = self._provider.get_tracer("gauntlet", gauntlet.__version__)

    def open(self, name: str, traceparent: str | None) -> Opened:
        """Begin the span of a request: in its caller's trace, if that is named as W3C has it, or in one of its own."""
        carrier = {} if traceparent is None else {"traceparent": traceparent}
        # Neither `tracestate` nor `baggage`: what those hold is not ours to keep.
        context = TraceContextTextMapPropagator().extract(carrier)
        span = self._tracer.start_span(name, context, kind=SpanKind.SERVER)
        found = span.get_span_context()
        return Opened(_place(found) if found.is_valid else None, span)

    def tell(self, span: Span) -> None:
        """Send a span that has ended."""
        self._ids.next_span = _context_of(span.place).span_id
        context = trace.set_span_in_context(NonRecordingSpan(_context_of(span.parent)))
        told = self._tracer.start_span(span.name, context, start_time=round(span.began * _NANOSECONDS))
        _finish(told, span.attributes, span.error)
        told.end(round(max(span.began, span.ended) * _NANOSECONDS))

    def close(self) -> None:
        """Send what is left, but not for longer than two seconds; a collector that takes longer gets no more."""
        closing = threading.Thread(target=self._provider.shutdown, name="last spans", daemon=True)
        closing.start()
        closing.join(_CLOSES_WITHIN_S)
        if closing.is_alive():
            logger.warning("The collector did not take the last spans within %g s.", _CLOSES_WITHIN_S)


class _Ids(RandomIdGenerator):
    """The id that is given for the next span of this thread, once, else a random one."""

    def __init__(self) -> None:
        self._given = threading.local()

    @property
    def next_span(self) -> int | None:
        given: int | None = getattr(self._given, "span", None)
        return given

    @next_span.setter
    def next_span(self, identifier: int | None) -> None:
        self._given.span = identifier

    def generate_span_id(self) -> int:
        given, self.next_span = self.next_span, None
        return given or super().generate_span_id()


def _finish(span: trace.Span, attributes: Attributes, error: str | None) -> None:
    span.set_attributes(dict(attributes))
    if error is not None:
        span.set_attribute("error.type", error)
        span.set_status(StatusCode.ERROR)


def _place(context: SpanContext) -> str:
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def _context_of(place: str) -> SpanContext:
    _, trace_id, span_id, flags = place.split("-")
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16)))


class _Complaints(logging.Handler):
    """What OpenTelemetry has to say of itself, once a minute, by the process's own handlers.

    By no job's log: a collector is no matter of its users'. Of its variables it says what is wrong, not what they hold.
    """

    def __init__(self, handlers: Sequence[logging.Handler]) -> None:
        super().__init__(logging.WARNING)
        self._by = handlers
        self._next = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        """Pass on what is the first in a while; called with this handler's lock held."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + _COMPLAINS_EVERY_S
        said = record.getMessage() if record.name == _EXPORTER else str(record.msg)
        told = logging.makeLogRecord(record.__dict__ | {"msg": f"Spans: {said}", "args": (), "exc_info": None})
        # Where the process had none when this was made, by those that it has now.
        for handler in self._by or logging.getLogger().handlers:
            handler.handle(told)


def _complain_seldom() -> None:
    theirs = logging.getLogger("opentelemetry")
    theirs.propagate = False
    theirs.handlers = [_Complaints(list(logging.getLogger().handlers))]

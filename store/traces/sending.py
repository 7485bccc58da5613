"""Whether a process sends spans, and what for that must be installed and said."""

import os
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from store.traces.otlp import Sender

Traces = Literal["off", "on"]

_NEEDED: Final = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")
_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_PROTOCOL: Final = "http/protobuf"


def require_sendable() -> None:
    """Refuse what would keep every span from being sent.

    Raises:
        ValueError: in a sentence, without what a variable holds: a URL may have a password.
    """
    if not all(_is_there(package) for package in _NEEDED):
        raise ValueError("GAUNTLET_TRACES=on takes OpenTelemetry's SDK and exporter: install gauntlet[server,traces].")
    protocol, endpoint = _that_counts(_PROTOCOLS), _that_counts(_ENDPOINTS)
    if protocol is not None and os.environ[protocol] != _PROTOCOL:
        raise ValueError(f"{protocol} must be {_PROTOCOL}: GAUNTLET_TRACES=on sends by no other protocol.")
    if endpoint is not None and not _is_http(os.environ[endpoint]):
        raise ValueError(f"{endpoint} must be a URL as http://collector:4318.")


def sender(traces: Traces, service: str, instance: str) -> "Sender | None":
    """What sends this process's spans, or None where none are wanted: then nothing of OpenTelemetry is loaded.

    Made after the logging was configured and after every fork, as a thread of it sends.

    Args:
        traces: whether they are wanted.
        service: what the process is called where OTEL_SERVICE_NAME does not say it.
        instance: which of these it is.
    """
    if traces == "off":
        return None
    # Imported here: a quarter of a second, which only those pay who want it.
    from store.traces.otlp import Sender

    return Sender(service, instance)


def _that_counts(variables: tuple[str, str]) -> str | None:
    """The first that says something: of traces alone, before that of all signals."""
    return next((variable for variable in variables if os.environ.get(variable)), None)


def _is_there(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:
        # What it lies in is not there.
        return False


def _is_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)

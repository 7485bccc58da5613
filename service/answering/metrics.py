"""What Prometheus is told: how requests were answered by this process, and everything else as the database has it.

What the rows say is read at each scrape, so that it is right whichever of several processes is asked, and after a
restart. Only requests and streams are this process's own.
"""

import logging
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError
from starlette.types import Scope

from gauntlet.resources import Status
from service.answering.disks import Patient
from service.answering.streams import Streams
from service.settings import ServiceSettings
from store.database import Database
from store.shown import load
from store.shown.load import Load
from store.storage import FolderStorage

logger = logging.getLogger(__name__)

# Seconds; answers take 2 ms to a few seconds.
_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_NO_ROUTE: Final = "none"
_STATUSES: Final[tuple[Status, ...]] = ("queued", "running", "paused", "succeeded", "failed", "cancelled")


class Metrics:
    """The metrics of this process, in a registry of its own."""

    def __init__(self, settings: ServiceSettings, database: Database, streams: Streams) -> None:
        self._registry = CollectorRegistry()
        self._requests = Histogram(
            "gauntlet_http_request_duration_seconds",
            "How long this process took to answer, but for streams of events.",
            ("method", "route", "status"),
            buckets=_BUCKETS,
            registry=self._registry,
        )
        ProcessCollector(registry=self._registry)
        self._registry.register(_Rows(database, streams))
        self._registry.register(_Disks(_places(settings)))

    def note(self, request: Scope, status: int, seconds: float) -> None:
        """Count an answer; by its route's template, of which there are few, and not by its path."""
        route = getattr(request.get("route"), "path_format", _NO_ROUTE)
        method = request["method"] if request["method"] in _METHODS else "other"
        self._requests.labels(method, route, str(status)).observe(seconds)

    def written(self) -> bytes:
        """All of them, in Prometheus's text format."""
        return generate_latest(self._registry)


def _places(settings: ServiceSettings) -> dict[str, Path]:
    storage = settings.storage
    places = {"home": settings.home, "data": settings.data_root}
    return places | {"storage": storage.root} if isinstance(storage, FolderStorage) else places


class _Rows(Collector):
    """What the database says; where it is away, that alone."""

    def __init__(self, database: Database, streams: Streams) -> None:
        self._database = database
        self._streams = streams

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Nothing, so that registering it asks no database."""
        return iter(())

    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        """Read once, and tell."""
        yield GaugeMetricFamily("gauntlet_event_streams", "Streams of events open here.", len(self._streams))
        try:
            with self._database.reading() as session:
                found = load.read(session)
        except SQLAlchemyError as error:
            logger.warning("The metrics cannot be read: %s", error)
            yield GaugeMetricFamily("gauntlet_database_up", "Whether the database answers.", 0)
            return
        yield GaugeMetricFamily("gauntlet_database_up", "Whether the database answers.", 1)
        yield from _families(found)


def _families(found: Load) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
    states = GaugeMetricFamily("gauntlet_jobs", "Jobs by how they stand.", labels=("kind", "status"))
    depth = GaugeMetricFamily("gauntlet_queue_depth", "Jobs that a worker could start now.", labels=("kind",))
    age = GaugeMetricFamily(
        "gauntlet_queue_oldest_seconds", "How long ago the oldest of these was made.", labels=("kind",)
    )
    leases = GaugeMetricFamily(
        "gauntlet_leases", "Running jobs whose worker gives signs of life, or none.", labels=("kind", "state")
    )
    for kind, of_kind in found.jobs.items():
        for status in _STATUSES:
            states.add_metric((kind, status), of_kind.by_status.get(status, 0))
        depth.add_metric((kind,), of_kind.waiting)
        age.add_metric((kind,), of_kind.oldest_s)
        leases.add_metric((kind, "held"), of_kind.by_status.get("running", 0) - of_kind.expired)
        leases.add_metric((kind, "expired"), of_kind.expired)
    yield from (states, depth, age, leases)
    yield GaugeMetricFamily("gauntlet_busy_workers", "Workers that have a job, or help with one.", found.busy_workers)
    yield GaugeMetricFamily(
        "gauntlet_training_images_per_second", "Of all runs, as in the last epoch of each.", found.images_per_second
    )
    sent = GaugeMetricFamily("gauntlet_webhook_deliveries", "To webhooks, by how they stand.", labels=("status",))
    for state in ("waiting", "delivered", "failed"):
        sent.add_metric((state,), found.deliveries.get(state, 0))
    yield sent
    yield CounterMetricFamily("gauntlet_events", "Events so far: the newest one's id.", found.newest_event)


class _Disks(Collector):
    """Room where things are kept; a folder that is not there yet is left out."""

    def __init__(self, places: dict[str, Path]) -> None:
        self._places = {
            name: Patient(partial(shutil.disk_usage, folder), f"room in {name}") for name, folder in places.items()
        }

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Nothing: a storage that hangs must not hold up the start."""
        return iter(())

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Ask each; one that hangs is left out, too."""
        free = GaugeMetricFamily("gauntlet_disk_free_bytes", "Room for more.", labels=("place",))
        size = GaugeMetricFamily("gauntlet_disk_size_bytes", "All of it.", labels=("place",))
        for place, ask in self._places.items():
            try:
                usage = ask()
            except OSError:
                continue
            if usage is None:
                continue
            free.add_metric((place,), usage.free)
            size.add_metric((place,), usage.total)
        yield free
        yield size

"""The HTTP service: an app factory that holds nothing at import."""

import asyncio
import logging
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from anyio.to_thread import current_default_thread_limiter
from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

import gauntlet
from gauntlet.settings import SettingsInvalid
from service import errors
from service.answering.disks import Patient
from service.answering.metrics import Metrics
from service.answering.reports import Reporter
from service.answering.streams import MOST_LISTENERS, Streams
from service.answering.versions import KeptAnswers, KnownRows, Looks
from service.callers.access import Access
from service.detached import detached
from service.local_datasets import lying_in
from service.pictures.classification import Classifier, KnownWeights
from service.pictures.images import Decoder
from service.readiness import Readiness
from service.requests.answers import document
from service.requests.directly import directly
from service.routes import (
    attacked_images,
    audit,
    checkpoints,
    classifications,
    comparisons,
    controls,
    datasets,
    deletions,
    documents,
    evaluations,
    events,
    experiments,
    guide,
    health,
    index,
    logs,
    metrics,
    overview,
    page,
    results,
    runs,
    session,
    tokens,
    webhooks,
)
from service.settings import ServiceSettings
from service.storage_reads import WRITERS, StorageReads
from service.transport.edge import Edge
from service.transport.traced import Tracing
from store import files
from store.database import Database
from store.queue.broker import create_celery
from store.storage import Storage
from store.traces.sending import sender

logger = logging.getLogger(__name__)

_BROKER_PATIENCE_S = 2
# As many requests are worked on at once, each with a connection to the database if it needs one; others wait for a
# thread. More would only take Python's lock from one another, and from the loop that answers whether the process lives:
# it has its turn among them, several times for each request.
THREADS = 6
# For those threads, those that receive, looks at tokens, streams and the audit list: none waits for another one's.
CONNECTIONS = THREADS + WRITERS + 10
# In their order a request is compared with them: first those that are asked for most.
_ROUTES = (
    classifications,
    experiments,
    events,
    runs,
    checkpoints,
    evaluations,
    attacked_images,
    comparisons,
    controls,
    deletions,
    datasets,
    documents,
    guide,
    health,
    index,
    logs,
    metrics,
    overview,
    page,
    results,
    session,
    tokens,
    webhooks,
    audit,
)


def create_app(settings: ServiceSettings | None = None, *, most_streams: int = MOST_LISTENERS) -> FastAPI:
    """The service on `settings`; without, as a server calls it that was told of this factory, on the environment's.

    Raises:
        SystemExit: the environment's are not valid. A server would print another error with where it was raised.
    """
    settings = settings or _settings_of_environment()

    spans = sender(settings.traces, "gauntlet-api", f"{socket.gethostname()}:{os.getpid()}")

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        current_default_thread_limiter().total_tokens = THREADS
        tidying = asyncio.create_task(_tidy(settings.storage))
        yield
        tidying.cancel()
        app.state.streams.close()
        await app.state.decoder.process.close()
        await app.state.classifier.process.close()
        await app.state.reporter.close()
        app.state.celery.close()
        app.state.database.close()
        if spans is not None:
            await asyncio.to_thread(spans.close)

    app = FastAPI(
        # The guide and the schema are `service.routes.guide`.
        openapi_url=None,
        title="Gauntlet",
        version=gauntlet.__version__,
        summary="Train image classifiers on adversarial examples and measure how robust they are.",
        lifespan=lifespan,
        # Its own would say whatever stands in a URL, of requests too that are refused at the door.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
        # A redirect would name the host that the request named.
        redirect_slashes=False,
        # As they are. Routers that are included have each route made anew for each app, and looked for twice.
        routes=[route for routes in _ROUTES for route in routes.router.routes],
    )
    app.state.settings = settings
    app.state.database = Database(settings.database_url, connections=CONNECTIONS)
    app.state.access = Access(settings, app.state.database)
    app.state.audit = app.state.access.audit
    app.state.readiness = Readiness(app.state.database, settings.storage)
    app.state.room = Patient(settings.storage.room, "room in the storage")
    app.state.lying = lying_in(settings.data_root)
    app.state.streams = Streams(app.state.database, most=most_streams)
    app.state.metrics = Metrics(settings, app.state.database, app.state.streams)
    app.state.decoder = Decoder(most_pixels=settings.max_image_pixels, most_seconds=settings.max_decoding_s)
    app.state.classifier, app.state.known_weights = Classifier(), KnownWeights(app.state.database)
    app.state.storage_reads = StorageReads(settings)
    app.state.reporter = Reporter(app.state.database, settings.database_url)
    app.state.celery = create_celery(settings.broker_url, socket_timeout_s=_BROKER_PATIENCE_S)
    app.state.kept_answers, app.state.looks = KeptAnswers(), Looks()
    app.state.documents = StaticFiles(directory=documents.SITE, check_dir=False)
    app.state.known_rows = KnownRows(app.state.database)
    errors.install(app)
    # The guide's JavaScript, for machines without a way out.
    app.mount(guide.FILES, StaticFiles(packages=[("fastapi_offline", "static")]), name="guide")
    document(app)
    app.add_middleware(
        Edge,
        settings=settings,
        access=app.state.access,
        answered=app.state.metrics.note,
        known=app.state.known_rows.answer,
        direct=directly(app, classifications.router),
        tracing=None if spans is None else Tracing(spans),
    )
    if settings.trusted_proxies:
        app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=list(settings.trusted_proxies))
    return app


async def _tidy(storage: Storage) -> None:
    """Forget what processes of this machine that died were receiving, now and each hour: it may have no worker."""
    while True:
        try:
            await detached(partial(storage.forget_here, files.GRACE_S), "tidying")
        except OSError as error:
            logger.warning("What was left in %s cannot be deleted yet: %s", storage, error)
        await asyncio.sleep(files.GRACE_S)


def _settings_of_environment() -> ServiceSettings:
    try:
        return ServiceSettings.from_environment()
    except SettingsInvalid as error:
        sys.exit(str(error))

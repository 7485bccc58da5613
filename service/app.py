"""The HTTP service: an app factory that holds nothing at import."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline

import gauntlet
from gauntlet.resources import Problem
from service import errors
from service.edge import Edge
from service.routes import checkpoints, classifications, comparisons, evaluations, experiments, health, runs
from service.settings import ServiceSettings
from store.broker import create_celery
from store.database import Database

_BROKER_PATIENCE_S = 2
_PROBLEM = {"model": Problem, "content": {errors.MEDIA_TYPE: {}}}


def create_app(settings: ServiceSettings | None = None) -> FastAPI:
    """The service on `settings`, or on the environment's."""
    settings = settings or ServiceSettings()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        app.state.celery.close()
        app.state.database.close()

    # The interactive guide at /docs carries its JavaScript, for machines without a way out.
    app = FastAPIOffline(
        redoc_url=None,
        title="Gauntlet",
        version=gauntlet.__version__,
        summary="Train image classifiers on adversarial examples and measure how robust they are.",
        lifespan=lifespan,
        responses={422: _PROBLEM | {"description": "The request has invalid fields; `errors` names them."}},
    )
    app.state.settings = settings
    app.state.database = Database(settings.database_url)
    app.state.celery = create_celery(settings.broker_url, socket_timeout_s=_BROKER_PATIENCE_S)
    errors.install(app)
    for routes in (experiments, runs, checkpoints, evaluations, comparisons, classifications, health):
        app.include_router(routes.router)
    app.add_middleware(Edge, settings=settings)
    return app

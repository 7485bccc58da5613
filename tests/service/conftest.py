"""The service over a real database, in process; and a trained checkpoint to look at."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote

import pytest
import torch
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from fastapi.testclient import TestClient
from starlette.routing import Match

from gauntlet.spec.experiment import ExperimentSpec
from service.app import create_app
from service.settings import ServiceSettings
from store.database import Database
from store.queue import jobs
from store.queue.jobs import Claim
from store.subjects import experiments
from tests.evaluations import imported, queued
from tests.store.recorded import submit
from worker.jobs.heartbeat import Heartbeat, beating
from worker.jobs.training_job import train_run
from worker.settings import WorkerSettings

# Served by a mount, which has no methods to list.
STATIC = "/static-offline-docs/swagger-ui.css"

# Two threads on tiny batches wait for each other more than they work.
torch.set_num_threads(1)


def train_a_run(settings: ServiceSettings, spec: ExperimentSpec) -> str:
    """Submit and train the experiment's only run; returns its id."""
    database = Database(settings.database_url)
    worker = WorkerSettings(
        home=settings.home, database_url=settings.database_url, broker_url=settings.broker_url, threads=1
    )
    with database.writing() as session:
        _, (run,) = experiments.create(session, spec, None)
        held = jobs.claim(session, "run", run, "worker", worker.lease_s)
    assert held is not None
    with beating(Heartbeat(database, held, worker)) as (heartbeat,):
        train_run(database, held, worker, heartbeat, torch.device("cpu"))
    database.close()
    return run


@cache
def documented_app() -> FastAPI:
    """An app to read the schema and the routes of, which are every app's."""
    return create_app(ServiceSettings(database_url="postgresql://nobody@127.0.0.1:1/none"))


def require_documented(answer: Any) -> None:
    """Hold every answer that a test of the service is given against the schema: it lists its status for its request."""
    app = documented_app()
    paths = app.openapi()["paths"]
    method = "get" if answer.request.method == "HEAD" else answer.request.method.lower()
    scope = {"type": "http", "method": method.upper(), "path": unquote(answer.request.url.path), "root_path": ""}
    for route in iter_route_contexts(app.routes):
        if route.path_format in paths and route.matches(scope)[0] is Match.FULL:
            assert str(answer.status_code) in paths[route.path_format][method]["responses"], (answer, answer.request)


@pytest.fixture
def service_database(sqlite_url: str) -> str:
    """SQLite; a module may override this to run on each kind of database."""
    return sqlite_url


@pytest.fixture
def settings(tmp_path: Path, service_database: str, broker_url: str) -> ServiceSettings:
    """A service of its own, with small bounds."""
    return ServiceSettings(
        home=tmp_path,
        database_url=service_database,
        broker_url=broker_url,
        allowed_hosts=("testserver",),
        max_json_bytes=20_000,
        max_upload_bytes=200_000,
        max_image_pixels=250_000,
    )


@pytest.fixture
def api(settings: ServiceSettings) -> Iterator[TestClient]:
    """An HTTP client of it; an error inside the service is an answer, as it is for a user."""
    app = create_app(settings)
    # Two seconds for each app that is asked for it.
    app.openapi_schema = documented_app().openapi()
    with TestClient(app, raise_server_exceptions=False) as client:
        client.event_hooks = {"response": [require_documented]}
        yield client


@pytest.fixture
def guarded(settings: ServiceSettings) -> ServiceSettings:
    """Settings of a service that wants tokens."""
    return settings.model_copy(update={"auth": "on"})


@pytest.fixture
def guarded_api(guarded: ServiceSettings) -> Iterator[TestClient]:
    """The service that wants tokens."""
    with TestClient(create_app(guarded), raise_server_exceptions=False) as client:
        client.event_hooks = {"response": [require_documented]}
        yield client


@pytest.fixture(scope="session")
def trained(
    migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory, tiny_spec: ExperimentSpec
) -> tuple[Path, str]:
    """A service's folder, with its database, and the run in it."""
    home = tmp_path_factory.mktemp("trained")
    shutil.copy(migrated_sqlite, home / "gauntlet.db")
    settings = ServiceSettings(
        home=home,
        database_url=f"sqlite:///{home / 'gauntlet.db'}",
        broker_url="redis+socket:///nonexistent/broker.sock",
    )
    return home, train_a_run(settings, tiny_spec)


@pytest.fixture
def trained_run(settings: ServiceSettings, trained: tuple[Path, str]) -> str:
    """A run trained by the worker's own code, with two checkpoints and a queued evaluation; nothing else is there."""
    home, run = trained
    shutil.copytree(home, settings.home, dirs_exist_ok=True)
    return run


@dataclass
class Pages:
    """What is there of each kind, and a path of every route that takes GET, which are of it."""

    experiment: str
    run: Claim
    checkpoint: str
    evaluation: str
    paths: list[str]


@pytest.fixture
def stored(api: TestClient, settings: ServiceSettings, tiny_spec: ExperimentSpec) -> Pages:
    """An experiment in training, and imported weights that are to be evaluated. A new route's path is among them."""
    database = Database(settings.database_url)
    experiment, run = submit(database, tiny_spec)
    checkpoint = imported(database, "one", path="one/weights.safetensors")
    identifiers = {"experiment_id": experiment, "run_id": run.id, "checkpoint_id": checkpoint}
    identifiers |= {"evaluation_id": queued(database, checkpoint), "result_id": "res_0", "name": "training"}
    identifiers |= {
        "dataset_id": "dset_0",
        "path": "index.html",
        "number": "0",
        "position": "0",
        "webhook_id": "hook_0",
    }
    database.close()
    weights = settings.storage.root / "one" / "weights.safetensors"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(bytes(200_000))
    routes = [route for route in iter_route_contexts(cast("FastAPI", api.app).routes) if "GET" in (route.methods or ())]
    paths = [STATIC, *(route.path_format.format_map(identifiers) for route in routes if route.path_format is not None)]
    return Pages(experiment, run, checkpoint, identifiers["evaluation_id"], paths)


@pytest.fixture
def pages(stored: Pages) -> list[str]:
    """A path of every route that takes GET, of objects that are there."""
    return stored.paths

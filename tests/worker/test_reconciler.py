"""The reconciler wakes what was forgotten, and only when there is room for it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from gauntlet.spec.experiment import ExperimentSpec
from store import experiments, jobs, runs
from store.broker import create_celery
from store.database import Database
from tests.broker import running_broker, socket_path
from worker.processes import JobProcesses
from worker.reconciler import Reconciler
from worker.settings import WorkerSettings


@pytest.fixture
def settings(tmp_path: Path, sqlite_url: str) -> Iterator[WorkerSettings]:
    """A worker with one slot and a broker of its own."""
    with socket_path() as path, running_broker(path) as url:
        yield WorkerSettings(home=tmp_path, database_url=sqlite_url, broker_url=url, worker_slots=1)


@pytest.fixture
def reconciler(settings: WorkerSettings) -> Reconciler:
    """A reconciler whose worker is idle; it is not started, its looks are called."""
    database = Database(settings.database_url)
    processes = JobProcesses(settings, database)
    return Reconciler(create_celery(settings.broker_url), database, processes, settings)


def messages(settings: WorkerSettings) -> int:
    with redis.Redis(unix_socket_path=settings.broker_url.removeprefix("redis+socket://")) as broker:
        length = broker.llen("gauntlet")
        assert isinstance(length, int)
        return length


def submit(settings: WorkerSettings, spec: ExperimentSpec) -> str:
    with Database(settings.database_url).writing() as session:
        return experiments.create(session, spec, None)[1][0]


def test_an_idle_worker_wakes_itself_for_a_forgotten_run(
    settings: WorkerSettings, reconciler: Reconciler, tiny_spec: ExperimentSpec
) -> None:
    """A run whose message was lost gets a new one; with nothing waiting there is none."""
    reconciler.reconcile()
    assert messages(settings) == 0
    submit(settings, tiny_spec)
    reconciler.reconcile()
    assert messages(settings) == 1


def test_a_dead_workers_run_is_queued_and_woken(
    settings: WorkerSettings, reconciler: Reconciler, tiny_spec: ExperimentSpec
) -> None:
    """Both happen in one look."""
    run_id = submit(settings, tiny_spec)
    database = Database(settings.database_url)
    with database.writing() as session:
        jobs.claim(session, "run", run_id, "dead", lease_s=-1)
    reconciler.reconcile()
    with database.reading() as session:
        assert runs.get(session, run_id).status == "queued"
    assert messages(settings) == 1


def test_a_worker_that_shuts_down_wakes_nobody(
    settings: WorkerSettings, reconciler: Reconciler, tiny_spec: ExperimentSpec
) -> None:
    """It has no room, so it leaves the waiting run to others."""
    submit(settings, tiny_spec)
    reconciler._processes.shut_down()
    reconciler.reconcile()
    assert messages(settings) == 0

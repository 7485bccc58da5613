"""A worker's processes, without a worker around them."""

from collections.abc import Iterator

import pytest

from gauntlet.spec.experiment import ExperimentSpec
from store.database import Database
from store.subjects import experiments
from tests.e2e.system import await_that
from worker import processes as module
from worker.processes import JobProcesses
from worker.settings import WorkerSettings


@pytest.fixture
def settings(settings: WorkerSettings) -> WorkerSettings:
    """A worker with one slot and a fast pulse, whose leases do not run out by themselves."""
    quick = {"fused_runs": 3, "threads": 1, "heartbeat_s": 0.1, "stop_grace_s": 0.1, "lease_s": 600}
    return settings.model_copy(update={"worker_slots": 1} | quick)


@pytest.fixture
def database(settings: WorkerSettings) -> Database:
    return Database(settings.database_url)


@pytest.fixture
def processes(settings: WorkerSettings, database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[JobProcesses]:
    """An idle worker's; what is left of its jobs ends with the test."""
    monkeypatch.setattr(module, "_LAST_GRACE_S", 0.1)
    processes = JobProcesses(settings, database)
    processes.preparation.make()
    yield processes
    processes.shut_down()
    await_that(lambda: not processes._jobs)


@pytest.fixture
def run_id(database: Database, tiny_spec: ExperimentSpec) -> str:
    """A run that does not end by itself."""
    endless = tiny_spec.training.model_copy(update={"epochs": 10_000, "compile": "off"})
    with database.writing() as session:
        (run_id,) = experiments.create(session, tiny_spec.model_copy(update={"training": endless}), None)[1]
    return run_id

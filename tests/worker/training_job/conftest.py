"""A worker on a folder of its own, and a checkpoint that one of its runs made."""

from pathlib import Path

import pytest

from gauntlet.spec.experiment import ExperimentSpec
from store.database import Database
from store.models import Checkpoint
from tests.worker.training_job.attempts import (
    AT_ONCE,
    kept,
    spec_with,
    submit,
    train,
)
from worker.settings import WorkerSettings


@pytest.fixture
def settings(tmp_path: Path, sqlite_url: str) -> WorkerSettings:
    """A worker that saves a state after every batch."""
    return WorkerSettings(
        home=tmp_path,
        database_url=sqlite_url,
        broker_url="redis+socket:///nonexistent/broker.sock",
        device="cpu",
        state_every_s=AT_ONCE,
    )


@pytest.fixture
def database(settings: WorkerSettings) -> Database:
    return Database(settings.database_url)


@pytest.fixture
def source(database: Database, settings: WorkerSettings, tiny_spec: ExperimentSpec) -> Checkpoint:
    """The last checkpoint of a trained run."""
    run = submit(database, spec_with(tiny_spec))
    train(database, settings, run)
    return kept(database, run)[0]

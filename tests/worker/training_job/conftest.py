"""A worker on a folder of its own, a checkpoint that one of its runs made, and what comes of undisturbed ones."""

import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from gauntlet.spec.experiment import ExperimentSpec
from store.database import Database
from store.models import Checkpoint
from store.subjects import checkpoints
from tests.worker.training_job.attempts import (
    AT_ONCE,
    result,
    spec_with,
    state_files,
    submit,
    train,
)
from worker.settings import WorkerSettings

Undisturbed = Callable[[ExperimentSpec], tuple[list[Any], list[Any]]]


def _settings(home: Path, database_url: str) -> WorkerSettings:
    return WorkerSettings(
        home=home,
        database_url=database_url,
        broker_url="redis+socket:///nonexistent/broker.sock",
        device="cpu",
        state_every_s=AT_ONCE,
    )


@pytest.fixture
def database_url(request: pytest.FixtureRequest) -> str:
    """SQLite; a test of what the database may play a part in asks for each kind (`attempts.on_each_database`)."""
    url: str = request.getfixturevalue(f"{getattr(request, 'param', 'sqlite')}_url")
    return url


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> WorkerSettings:
    """A worker that saves a state after every batch."""
    return _settings(tmp_path, database_url)


@pytest.fixture(scope="session")
def trained(migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory, tiny_spec: ExperimentSpec) -> Path:
    """The folder of a worker that has trained a run."""
    home = tmp_path_factory.mktemp("trained")
    shutil.copy(migrated_sqlite, home / "gauntlet.db")
    settings = _settings(home, f"sqlite:///{home / 'gauntlet.db'}")
    database = Database(settings.database_url)
    train(database, settings, submit(database, spec_with(tiny_spec)))
    database.close()
    return home


@pytest.fixture
def source(database: Database, settings: WorkerSettings, trained: Path) -> Checkpoint:
    """The last checkpoint of a trained run, in this worker's folder."""
    shutil.copytree(trained, settings.home, dirs_exist_ok=True)
    with database.reading() as session:
        return checkpoints.page(session, run=None, after=None, limit=1).rows[0]


@pytest.fixture(scope="session")
def undisturbed(migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """The result of the experiment's only run in one attempt that nothing happens to; each spec is trained once."""

    @cache
    def undisturbed(spec: str) -> tuple[list[Any], list[Any]]:
        home = tmp_path_factory.mktemp("undisturbed")
        shutil.copy(migrated_sqlite, home / "gauntlet.db")
        settings = _settings(home, f"sqlite:///{home / 'gauntlet.db'}")
        database = Database(settings.database_url)
        run = submit(database, ExperimentSpec.model_validate_json(spec))
        train(database, settings, run)
        assert state_files(settings) == []
        found = result(database, run)
        database.close()
        return found

    return lambda spec: undisturbed(spec.model_dump_json())

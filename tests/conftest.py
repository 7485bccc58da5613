"""Real parts for all tests: databases built by the migrations, a broker, and small specs."""

import gc
import itertools
import os
import shutil
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from gauntlet.spec.experiment import ExperimentSpec
from store.database import Database, migrate
from tests import browser
from tests.broker import running_broker, socket_path
from tests.object_store import ObjectStore, running_object_store
from tests.once import made_once
from tests.postgres import create_database, drop_database, running_postgres, seal

_TEMPLATE = "gauntlet_template"
_names = itertools.count()
# One that does not say.
_A_LONG_FILE_S = 10


def pytest_xdist_auto_num_workers() -> int:
    """Four workers for two cores: tests of whole systems wait for their processes a third of the time."""
    return 2 * len(os.sched_getaffinity(0))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Look for no garbage while the tests and all that they import are loaded, and never again among those.

    Each worker loads them, which would take two thirds longer.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give each worker its share of the long tests first, so that short ones are left to end together on.

    pytest-xdist hands every worker one stretch of the list, and a worker that is done a part of another's. Last, when
    `-m` has made its choice.
    """
    workers: int = getattr(config, "workerinput", {}).get("workercount", 1)
    shares = dealt(items, workers)
    short = iter([item for item in items if item.get_closest_marker("long") is None])
    ends = [(worker + 1) * len(items) // workers for worker in range(workers)]
    items[:] = [
        item
        for share, begin, end in zip(shares, [0, *ends], ends, strict=False)
        for item in itertools.chain(share, itertools.islice(short, max(end - begin - len(share), 0)))
    ] + list(short)


def dealt(items: list[pytest.Item], workers: int) -> list[list[pytest.Item]]:
    """The long tests, the longest first, dealt to so many workers such that each has about as much to do.

    Those of a file stay together, as do those of files that share what is dear to start.
    """
    seconds: dict[str, dict[Path, float]] = {}
    together: dict[str, list[pytest.Item]] = {}
    for item in items:
        marker = item.get_closest_marker("long")
        if marker is not None:
            name = marker.kwargs.get("shares", str(item.path))
            seconds.setdefault(name, {})[item.path] = marker.kwargs.get("seconds", _A_LONG_FILE_S)
            together.setdefault(name, []).append(item)
    weights = {name: sum(files.values()) for name, files in seconds.items()}
    loads, shares = [0.0] * workers, [[] for _ in range(workers)]
    for name in sorted(together, key=lambda name: -weights[name]):
        least = loads.index(min(loads))
        loads[least] += weights[name]
        shares[least] += together[name]
    return shares


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say plainly what could not be tried here."""
    if browser.executable() is None:
        terminalreporter.write_line(browser.MISSING, yellow=True)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """A PostgreSQL server holding a migrated template database, to be copied and not to be used."""
    with running_postgres() as server:
        migrate(create_database(server, _TEMPLATE))
        seal(server, _TEMPLATE)
        yield server


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file to copy."""
    return made_once(tmp_path_factory, "template.db", lambda file: migrate(f"sqlite:///{file}"))


@pytest.fixture
def sqlite_url(migrated_sqlite: Path, tmp_path: Path) -> str:
    """A fresh migrated SQLite database."""
    file = tmp_path / "gauntlet.db"
    shutil.copy(migrated_sqlite, file)
    return f"sqlite:///{file}"


@pytest.fixture
def postgresql_url(postgres_server: str) -> Iterator[str]:
    """A fresh migrated PostgreSQL database."""
    name = f"test_{next(_names)}"
    yield create_database(postgres_server, name, _TEMPLATE)
    # Hundreds of them would be hundreds of thousands of files, and a minute at the end.
    drop_database(postgres_server, name)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """A fresh migrated database of each kind."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """Access to a fresh database of each kind."""
    database = Database(database_url)
    yield database
    database.close()


@pytest.fixture(scope="session")
def broker_url() -> Iterator[str]:
    """A running broker."""
    with socket_path() as path, running_broker(path) as url:
        yield url


@pytest.fixture(scope="session")
def object_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    """A running server of S3's protocol, which this process's environment names."""
    with running_object_store(tmp_path_factory.mktemp("buckets")) as store:
        yield store


@pytest.fixture(scope="session")
def tiny_spec() -> ExperimentSpec:
    """An experiment that trains in seconds: 96 digits, 4 epochs, 16 images under FGSM only."""
    return ExperimentSpec.model_validate(
        {
            "name": "tiny",
            "dataset": {"name": "digits", "train_samples": 96},
            "objectives": [{"kind": "cross_entropy"}],
            "adversary": {"kind": "fgsm", "eps": "8/255"},
            "training": {"epochs": 4, "checkpoint_every": 2},
            "evaluation": {"attacks": [{"kind": "fgsm", "eps": "8/255"}], "samples": 16, "batch_size": 8},
        }
    )


@pytest.fixture
def tiny_document(tiny_spec: ExperimentSpec) -> dict[str, Any]:
    """The same as a user writes it."""
    return tiny_spec.model_dump(mode="json")

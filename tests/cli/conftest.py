"""A service without a worker, and the command that talks to it."""

import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import Result

from store.database import Database
from tests import command
from tests.e2e.system import System


@pytest.fixture(scope="session")
def service_database_url(migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The database of the one service that all these tests share: a test looks for what it has made itself."""
    file = tmp_path_factory.mktemp("service") / "gauntlet.db"
    shutil.copy(migrated_sqlite, file)
    return f"sqlite:///{file}"


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory, service_database_url: str, broker_url: str) -> Iterator[System]:
    """A service for the command to talk to."""
    with System(tmp_path_factory.mktemp("home"), service_database_url, broker_url) as running:
        yield running


@pytest.fixture
def database(service_database_url: str) -> Iterator[Database]:
    """The service's database."""
    database = Database(service_database_url)
    yield database
    database.close()


@pytest.fixture
def gauntlet(system: System, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run the command with some arguments; what it writes goes to no screen."""
    monkeypatch.setenv("GAUNTLET_URL", system.client.url)

    def run(*arguments: str) -> Result:
        return command.run(*arguments)

    return run


def screen(width: int, height: int = 50) -> Console:
    """A terminal of that size, without colours, that keeps what is written to it."""
    size: dict[str, Any] = {"width": width, "height": height}
    return Console(file=io.StringIO(), force_terminal=True, color_system=None, legacy_windows=False, **size)


def file(width: int = 80) -> Console:
    """A file, which has no width whatever the console believes."""
    return Console(file=io.StringIO(), force_terminal=False, width=width)


def written(console: Console) -> str:
    """What a console of these was given."""
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()

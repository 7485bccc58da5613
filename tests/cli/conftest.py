"""A service without a worker, and the command that talks to it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from cli.commands import app
from tests.e2e.system import System


@pytest.fixture
def system(tmp_path: Path, sqlite_url: str, broker_url: str) -> Iterator[System]:
    """A service for the command to talk to."""
    with System(tmp_path, sqlite_url, broker_url) as running:
        yield running


@pytest.fixture
def gauntlet(system: System, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run the command with some arguments."""
    monkeypatch.setenv("GAUNTLET_URL", system.client.url)
    monkeypatch.setenv("COLUMNS", "80")

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, arguments)

    return run

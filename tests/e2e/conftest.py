"""Whole systems over real processes."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.collector import Collector, collecting
from tests.e2e.system import System
from tests.smallest import SMALLEST


@pytest.fixture(scope="session")
def collector() -> Iterator[Collector]:
    """What the API that these tests share, and its workers, send their spans to."""
    with collecting() as collector:
        yield collector


@pytest.fixture(scope="session")
def api(
    tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: Path, broker_url: str, collector: Collector
) -> Iterator[System]:
    """The API that these tests share, on SQLite: each looks for what it has made itself."""
    home = tmp_path_factory.mktemp("system")
    shutil.copy(migrated_sqlite, home / "gauntlet.db")
    with System(home, f"sqlite:///{home / 'gauntlet.db'}", broker_url, settings=collector.settings) as running:
        yield running


@pytest.fixture
def tiny_document(tiny_document: dict[str, Any]) -> dict[str, Any]:
    """Of the smallest network: what is tested is the system."""
    return tiny_document | {"architecture": SMALLEST}


@pytest.fixture
def system(api: System) -> Iterator[System]:
    """The shared API without a worker yet; those that a test starts end with it, and so does what it left to do."""
    yield api
    api.rest()

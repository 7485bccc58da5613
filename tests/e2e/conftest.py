"""Whole systems over real processes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.system import System


@pytest.fixture
def system(tmp_path: Path, sqlite_url: str, broker_url: str) -> Iterator[System]:
    """A system without a worker yet, on SQLite."""
    with System(tmp_path, sqlite_url, broker_url) as running:
        yield running

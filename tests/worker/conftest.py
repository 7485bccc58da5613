"""A worker's settings for tests of its parts."""

from pathlib import Path

import pytest

from worker.settings import WorkerSettings


@pytest.fixture
def settings(tmp_path: Path, sqlite_url: str) -> WorkerSettings:
    """A worker whose broker is down."""
    return WorkerSettings(
        home=tmp_path, database_url=sqlite_url, broker_url="redis+socket:///nonexistent/broker.sock", device="cpu"
    )

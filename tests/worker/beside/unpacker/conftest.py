"""A worker that unpacks."""

from pathlib import Path

import pytest

from worker.settings import WorkerSettings


@pytest.fixture
def settings(tmp_path: Path) -> WorkerSettings:
    """One with a home of its own below the test's folder, and a fast pulse."""
    return WorkerSettings(home=tmp_path / "home", heartbeat_s=0.1, worker_name="here")

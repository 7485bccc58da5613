"""One running system and one browser for all tests of the page."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.browser import MISSING, executable, running_chromium
from tests.e2e.system import System


# Not for longer than a module: while the browser is driven its event loop runs, in which no other can be started.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A browser."""
    if executable() is None:
        pytest.skip(MISSING)
    with running_chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def whole_system(tmp_path_factory: pytest.TempPathFactory, broker_url: str) -> Iterator[System]:
    """API and worker, with nothing in them yet."""
    home: Path = tmp_path_factory.mktemp("page")
    with System(home, f"sqlite:///{home / 'gauntlet.db'}", broker_url) as system:
        system.start("worker")
        yield system

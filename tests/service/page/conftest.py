"""One running system and one browser for all tests of the page."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from store.database import Database
from tests.browser import MISSING, executable, opened, running_chromium
from tests.e2e.system import System
from tests.service.page.visits import HOSTILE, url_of


# Not for longer than these tests: while the browser is driven its event loop runs, in which no other can be started.
@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """A browser."""
    if executable() is None:
        pytest.skip(MISSING)
    with running_chromium() as browser:
        yield browser


@pytest.fixture(scope="package")
def whole_system(tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: Path, broker_url: str) -> Iterator[System]:
    """API and worker, with nothing in them yet."""
    home: Path = tmp_path_factory.mktemp("page")
    shutil.copy(migrated_sqlite, home / "gauntlet.db")
    with System(home, f"sqlite:///{home / 'gauntlet.db'}", broker_url) as system:
        # Of what is trained to be looked at, and then cancelled, one run is at work; and it tells how far it is, for
        # which the page asks anew, once a second.
        system.start("worker", GAUNTLET_WORKER_SLOTS="1", GAUNTLET_HEARTBEAT_S="1")
        yield system


@pytest.fixture
def database(whole_system: System) -> Iterator[Database]:
    """The system's own, beside it."""
    beside = Database(whole_system.database_url)
    yield beside
    beside.close()


@pytest.fixture(scope="package")
def finished(chromium: Browser, whole_system: System, tiny_spec: Any) -> str:
    """An experiment that was submitted on the page, and watched there until it had succeeded; its id.

    It is the quickstart made tiny, under a hostile name.
    """
    document = tiny_spec.model_dump(mode="json") | {"name": HOSTILE, "seeds": [0, 1]}
    # Such that it learns something, and each budget takes some of it away.
    document["training"]["optimizer"] = {"kind": "rmsprop", "lr": 1e-3}
    document["evaluation"]["attacks"] = [{"kind": "fgsm", "eps": ["8/255", "32/255", "48/255"]}]
    with opened(chromium, url_of(whole_system)) as page:
        page.goto("/#/new")
        whole = page.get_by_label("The whole specification as JSON")
        # Once it is filled: until then what is above it grows, and moves what is being clicked.
        expect(whole).to_have_value(re.compile('"quickstart"'))
        page.get_by_text("Everything, as JSON").click()
        whole.fill(json.dumps(json.loads(whole.input_value()) | document))
        expect(page.get_by_role("region", name="YAML", exact=True)).to_contain_text("onerror")
        page.get_by_role("button", name="Submit").click()
        expect(page.locator(".head .status")).to_have_text("succeeded")
        expect(page.get_by_role("region", name="Means over seeds")).to_be_visible()
        identifier: str = page.evaluate("location.hash.split('/').at(-1)")
    return identifier

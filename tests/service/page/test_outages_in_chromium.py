"""What the page says while the service does not answer, and that it looks again by itself."""

import pytest
from playwright.sync_api import Browser, Request, Route, expect

from gauntlet.spec.asked.requests import ExperimentPatch
from store.database import Database
from store.subjects import annotations, experiments
from tests.browser import opened
from tests.e2e.system import System, await_that, kill_group
from tests.service.page.visits import HOSTILE, url_of

pytestmark = pytest.mark.long(seconds=5, shares="page")


@pytest.mark.parametrize("away", ["network", "service"])
def test_it_goes_on_when_what_was_away_is_back(
    chromium: Browser, whole_system: System, finished: str, database: Database, away: str
) -> None:
    """Without an answer it says that what is seen may be old, and keeps it; then it looks again, by itself."""
    gone, name = "The service does not answer", f"named while the {away} was away"
    with opened(chromium, url_of(whole_system)) as page:
        expect(page.get_by_role("link", name=HOSTILE)).to_be_visible()
        page.evaluate("window.loaded = 'once'")
        if away == "network":
            page.context.set_offline(True)
        else:
            kill_group(whole_system.service)
        expect(page.get_by_text(gone)).to_be_visible()
        expect(page.get_by_role("link", name=HOSTILE)).to_be_visible()
        with database.writing() as session:
            annotations.change_experiment(session, experiments.get(session, finished), ExperimentPatch(name=name))
        if away == "network":
            page.context.set_offline(False)
        else:
            whole_system.service = whole_system.start("service")
            await_that(whole_system.client.ready)
        expect(page.get_by_text(gone)).to_be_hidden()
        expect(page.get_by_role("link", name=name)).to_be_visible()
        assert page.evaluate("window.loaded") == "once"
    whole_system.client.change_experiment(finished, name=HOSTILE)


def test_a_stream_that_is_refused_is_asked_for_again(chromium: Browser, whole_system: System, finished: str) -> None:
    """By itself, after a while, as where too many were open or a proxy had no service behind it for a moment."""
    with opened(chromium, url_of(whole_system)) as page:
        page.goto("/#/login")
        page.clock.install()
        page.route("**/v1/events", lambda route: route.fulfill(status=429), times=1)
        with page.expect_response("**/v1/events") as refused:
            page.goto(f"/#/experiments/{finished}")
        assert refused.value.status == 429
        expect(page.get_by_role("heading", name=HOSTILE)).to_be_visible()
        with page.expect_response("**/v1/events") as taken:
            page.clock.fast_forward(15_000)
        assert taken.value.status == 200


@pytest.mark.parametrize("missed", ["**/page/webhooks.js", "**/v1/session"])
def test_a_view_that_the_network_changed_under_comes_by_itself(
    chromium: Browser, whole_system: System, missed: str
) -> None:
    """A browser gives up what waits for a connection then, and never asks again for a module that it has missed."""
    with opened(chromium, url_of(whole_system)) as page:
        page.goto("about:blank")
        page.clock.install()
        page.route(missed, lambda route: route.abort("addressunreachable"), times=1)
        page.goto("/#/system")
        expect(page.get_by_role("heading", name="This cannot be shown")).to_be_visible()
        page.clock.fast_forward(4_000)
        expect(page.get_by_label("URL")).to_be_visible()


def test_a_page_that_misses_the_same_module_again_is_loaded_anew_once_a_minute(
    chromium: Browser, whole_system: System
) -> None:
    """As where what blocks advertisements takes it for one, but has nothing against its text."""
    loads: list[Request] = []

    def block(route: Route) -> None:
        if route.request.resource_type == "script":
            route.abort()
        else:
            route.continue_()

    with opened(chromium, url_of(whole_system)) as page:
        page.goto("about:blank")
        page.clock.install()
        page.route("**/page/webhooks.js", block)
        page.on("request", lambda request: loads.append(request) if request.is_navigation_request() else None)
        missed = page.get_by_text("Part of the page could not be loaded.")
        page.goto("/#/system")
        for passed_ms in (4_000, 60_000):
            expect(missed).to_be_visible()
            with page.expect_navigation():
                page.clock.fast_forward(passed_ms)
            expect(missed).to_be_visible()
            with page.expect_response("**/page/webhooks.js"):
                page.clock.fast_forward(4_000)
    assert len(loads) == 3

"""What the page says while the service does not answer, and that it looks again by itself."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, Request, Response, Route, expect

from gauntlet.spec.asked.requests import ExperimentPatch
from store.database import Database
from store.subjects import annotations, experiments
from tests.browser import opened
from tests.e2e.system import System, await_that, kill_group
from tests.service.page.visits import HOSTILE, awaited, url_of

pytestmark = [pytest.mark.long(seconds=5, shares="page"), pytest.mark.thorough]


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


@pytest.fixture
def paused(chromium: Browser, whole_system: System) -> Iterator[Page]:
    """A page at no address yet, whose clock stands still."""
    with opened(chromium, url_of(whole_system)) as page:
        page.goto("about:blank")
        page.clock.install(time=0)
        page.clock.pause_at(1_000)
        yield page


def test_a_view_whose_module_did_not_come_comes_by_itself(paused: Page) -> None:
    """A browser never asks again for one that it has missed, as where the network changed under it."""
    paused.route("**/page/webhooks.js", lambda route: route.abort("addressunreachable"), times=1)
    paused.goto("/#/system")
    expect(paused.get_by_label("URL")).to_be_visible()


@pytest.mark.parametrize("answer", [None, 502])
def test_a_view_that_had_no_answer_comes_by_itself(paused: Page, answer: int | None) -> None:
    """From the service, or from a proxy in its place; its reader is where they were, the skip link leads to it."""
    refuse: Callable[[Route], None] = (
        (lambda route: route.abort()) if answer is None else (lambda route: route.fulfill(status=answer))
    )
    paused.route("**/v1/session", refuse, times=1)
    paused.goto("/#/system")
    expect(paused.get_by_role("heading", name="This cannot be shown")).to_be_visible()
    expect(paused.get_by_text("Trying again …")).to_be_visible()
    paused.get_by_role("link", name="Skip to the content").press("Enter")
    expect(paused.get_by_role("main")).to_be_focused()
    paused.clock.run_for(4_000)
    expect(paused.get_by_label("URL")).to_be_visible()
    expect(paused.get_by_role("main")).to_be_focused()


def test_a_page_that_misses_the_same_module_again_is_loaded_anew_once_a_minute(paused: Page) -> None:
    """As where what blocks advertisements takes it for one, but has nothing against its text."""
    loads: list[Request] = []
    asked: list[Response] = []
    missed = paused.get_by_text("Part of the page could not be loaded.")

    def block(route: Route) -> None:
        if route.request.resource_type == "script":
            route.abort()
        else:
            route.continue_()

    def note(response: Response) -> None:
        if response.url.endswith("/page/webhooks.js"):
            asked.append(response)

    paused.route("**/page/webhooks.js", block)
    paused.on("request", lambda request: loads.append(request) if request.is_navigation_request() else None)
    paused.on("response", note)
    paused.goto("/#/system")
    awaited(paused, loads)
    awaited(paused, loads)
    # At once before and after it was loaded anew, and then again.
    for _ in range(100):
        paused.clock.run_for(500)
        paused.wait_for_timeout(100)
        if len(asked) > 2:
            break
    assert len(asked) > 2
    assert not loads
    expect(missed).to_be_visible()
    while not loads:
        paused.clock.run_for(1_000)
        paused.wait_for_timeout(20)
    expect(missed).to_be_visible()
    assert len(loads) == 1

"""What is typed on the page stays, however slowly the service answers and however a view was come to."""

import re

import pytest
from playwright.sync_api import Browser, Route, expect

from tests.browser import opened
from tests.e2e.system import System
from tests.service.page.visits import HOSTILE, awaited, url_of

pytestmark = [pytest.mark.long(seconds=5, shares="page"), pytest.mark.thorough]

# Told of a change that was seen before; the last line comes after all that a second look at the place would do.
_TOLD_AGAIN = """async () => {
    window.dispatchEvent(new HashChangeEvent("hashchange"));
    await import("/page/compare.js");
    return new Promise((done) => setTimeout(done));
}"""


def test_a_view_is_shown_once_for_a_place(chromium: Browser, whole_system: System) -> None:
    """However often its address is told; a view that is left goes at once, and is another when it is come back to."""
    held: list[Route] = []
    with opened(chromium, url_of(whole_system)) as page:
        page.goto("/#/compare")
        search = page.locator("main input[type=search]")
        search.fill("typed")
        page.evaluate(_TOLD_AGAIN)
        expect(search).to_have_value("typed")
        page.goto("/#/system")
        expect(page.get_by_role("heading", name="System")).to_be_visible()
        page.goto("/#/compare")
        expect(search).to_have_value("")
    with chromium.new_context(base_url=url_of(whole_system)) as visitor, visitor.new_page() as page:
        page.route("**/page/system.js", lambda route: held.append(route))  # noqa: PLW0108  # it takes no method of a list
        page.goto("/#/compare")
        search = page.locator("main input[type=search]")
        expect(search).to_be_visible()
        page.goto("/#/system")
        expect(search).to_have_count(0)
        awaited(page, held).continue_()
        expect(page.get_by_role("heading", name="System")).to_be_visible()


def test_what_is_typed_while_an_answer_is_awaited_stays(chromium: Browser, whole_system: System, finished: str) -> None:
    """A field can be typed in, Enter included, or takes nothing yet; the answer takes neither focus nor text away."""
    held: list[Route] = []
    with opened(chromium, url_of(whole_system)) as page:
        page.route(re.compile(r"/v1/(checkpoints\?|catalog$)"), lambda route: held.append(route))  # noqa: PLW0108  # it takes no method of a list
        page.goto("/#/attack")
        search = page.get_by_role("searchbox", name="Filter checkpoints")
        search.fill("seed")
        page.get_by_label("Up to ε").select_option("16/255")
        search.press("Enter")
        awaited(page, held).continue_()
        # Whatever became of the images of the evaluation that is the newest.
        expect(page.get_by_text(re.compile(r"^\d+ images? of \d+\."))).to_be_visible()
        page.keyboard.type(" 1")
        expect(search).to_have_value("seed 1")
        expect(page.get_by_label("Up to ε")).to_have_value("16/255")
        page.goto(f"/#/new?like={finished}")
        name = page.get_by_role("textbox", name="Name")
        expect(name).to_be_disabled()
        awaited(page, held).continue_()
        expect(name).to_be_enabled()
        expect(name).to_have_value(f"{HOSTILE}, again")
        submit = page.get_by_role("button", name="Submit")
        expect(submit).to_be_enabled()
        page.context.set_offline(True)
        name.fill("away")
        expect(page.get_by_text("The service does not answer. Try again")).to_be_visible()
        expect(submit).to_be_disabled()
        page.context.set_offline(False)
        # By itself.
        expect(submit).to_be_enabled()
        page.get_by_text("Everything, as JSON").click()
        page.get_by_label("The whole specification as JSON").fill("{half")
        expect(page.get_by_text("This is no JSON")).to_be_visible()
        expect(submit).to_be_disabled()

"""Who may see the page, in a real browser: logins, tokens, and several tabs of one visitor."""

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from gauntlet.spec.asked.tokens import TokenRequest
from service.settings import ServiceSettings
from store.accounts import secret_key, tokens
from store.database import Database
from tests.browser import opened
from tests.e2e.system import System
from tests.service.page.test_slow_in_chromium import hold
from tests.service.page.visits import HOSTILE, awaited, drop, url_of
from tests.service.test_documented_requests import served

pytestmark = [pytest.mark.long(seconds=20, shares="page"), pytest.mark.thorough]


def test_a_reader_logs_in_and_out_with_a_token_made_on_the_page(
    chromium: Browser, whole_system: System, finished: str, database: Database, broker_url: str
) -> None:
    """Where tokens are wanted the page asks for one and leads on; what it got no script can read.

    An admin makes tokens, each shown once, revokes them, and sees who did what; a reader sees none of it. A session
    that ends while a form is filled in takes nothing of it away, and shows none of it to anybody else.
    """
    settings = ServiceSettings(
        home=whole_system.home, database_url=whole_system.database_url, broker_url=broker_url, auth="on"
    )
    key = secret_key.read_or_make(settings.home / "secret.key")
    with database.writing() as session:
        _, first = tokens.create(session, key, TokenRequest(owner="root", scope="admin"))
    with served(settings) as address, opened(chromium, f"http://{address}") as page:
        page.on("dialog", lambda dialog: dialog.accept())
        page.goto(f"/#/experiments/{finished}")
        log_in(page, "gauntlet_wrong")
        expect(page.get_by_role("alert")).to_be_visible()
        log_in(page, first)
        expect(page.get_by_role("heading", name=HOSTILE)).to_be_visible()
        page.goto("/#/system")
        for owner in ("bob", "ada"):
            page.get_by_role("textbox", name="Owner").fill(owner)
            page.get_by_role("button", name="Make a token").click()
            expect(page.get_by_text(f"The token of {owner}, with scope read.")).to_be_visible()
        token = page.get_by_label("The new token").input_value()
        # As in a page that came over a team's network without TLS.
        page.evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
        page.get_by_role("button", name="Copy").click()
        expect(page.get_by_role("button", name="Copied")).to_be_visible()
        used = page.get_by_role("region", name="Usage by owner").get_by_role("row").filter(has_text="nobody's")
        expect(used).to_have_text(re.compile(r"nobody's0\d+\.\d [KM]iB\d"))
        page.get_by_role("button", name=re.compile("^Revoke .* of bob")).click()
        expect(page.get_by_role("row").filter(has_text="bob")).to_contain_text("revoked")
        expect(page.get_by_role("region", name="Who did what").last).to_contain_text("DELETE /v1/tokens")
        go_on_after_a_session(page, first, other=token)
        page.goto("/#/system")
        expect(page.get_by_label("The new token")).to_be_hidden()
        assert page.get_by_label("The new token").input_value() == ""
        with page.context.new_page() as beside:
            beside.goto(page.url)
            expect(beside.get_by_text("You are root, with scope admin.")).to_be_visible()
            page.get_by_role("button", name="Log out").click()
            expect(beside.get_by_label("Token", exact=True)).to_be_visible()
            log_in(page, token)
            expect(beside.get_by_text("You are ada, with scope read.")).to_be_visible()
        expect(page.get_by_role("link", name=HOSTILE)).to_be_visible()
        kept = page.evaluate("document.cookie + JSON.stringify({...localStorage, ...sessionStorage}) + location.href")
        assert "gauntlet_" not in kept
        page.goto("/#/system")
        expect(page.get_by_text("You are ada, with scope read.")).to_be_visible()
        expect(page.get_by_role("button", name="Make a token")).to_be_hidden()
        page.get_by_role("button", name="Log out").click()
        expect(page.get_by_label("Token", exact=True)).to_be_visible()
        page.goto("/#/")
        expect(page.get_by_label("Token", exact=True)).to_be_visible()


def test_a_token_is_asked_for_where_one_is(
    chromium: Browser, whole_system: System, database: Database, broker_url: str
) -> None:
    """Whoever comes to the login by its address is told where nobody is asked for one, and who they are already."""
    asks = "This Gauntlet asks for a token."
    with opened(chromium, url_of(whole_system)) as page:
        page.goto("/#/login")
        expect(page.get_by_text("This Gauntlet asks nobody for a token")).to_be_visible()
        expect(page.get_by_text(asks)).to_be_hidden()
        expect(page.get_by_label("Token", exact=True)).to_be_hidden()
    settings = ServiceSettings(
        home=whole_system.home, database_url=whole_system.database_url, broker_url=broker_url, auth="on"
    )
    with database.writing() as session:
        _, token = tokens.create(session, secret_key.read_or_make(settings.home / "secret.key"), _ADA)
    with served(settings) as address, opened(chromium, f"http://{address}") as page:
        page.goto("/#/login")
        expect(page.get_by_text(asks)).to_be_visible()
        log_in(page, token)
        expect(page.get_by_role("link", name="Experiments")).to_have_attribute("aria-current", "page")
        page.goto("/#/login")
        expect(page.get_by_text("You are ada, with scope read.")).to_be_visible()
        expect(page.get_by_text(asks)).to_be_hidden()
        expect(page.get_by_label("Token", exact=True)).to_be_visible()


def test_a_login_stays_where_nobody_says_who_asks(chromium: Browser, whole_system: System) -> None:
    """The form is there before the service says whom it knows; where it does not say, what is typed by then stays."""
    with opened(chromium, url_of(whole_system)) as page:
        held = hold(page, "/v1/session$", "GET")
        for lost in (True, False):
            page.goto("/#/login")
            token = page.get_by_label("Token", exact=True)
            token.fill("half a tok")
            asked = awaited(page, held)
            with page.expect_event("requestfailed" if lost else "requestfinished"):
                if lost:
                    asked.abort()
                else:
                    asked.fulfill(status=500)
            # What of all that is due now comes after the rest.
            page.evaluate("new Promise((done) => setTimeout(done))")
            expect(token).to_have_value("half a tok")
            expect(page.get_by_role("heading", name="Log in")).to_be_visible()
            expect(page.get_by_role("alert")).to_have_count(0)
            page.goto("/#/data")


_ADA = TokenRequest(owner="ada", scope="read")
# A safetensors file without a tensor.
_EMPTY = (2).to_bytes(8, "little") + b"{}"


def go_on_after_a_session(page: Page, ours: str, other: str) -> None:
    """Logged in with `ours`, fill in two forms; while the second one waits for a login nothing is asked for."""
    name, submit = page.get_by_role("textbox", name="Name"), page.get_by_role("button", name="Submit")
    upload, login = page.get_by_role("button", name="Upload", exact=True), page.get_by_label("Token", exact=True)
    # Its time goes on as ever, and can be put forward.
    page.clock.install()
    page.goto("/#/new")
    expect(submit).to_be_enabled()
    name.fill("written at length")
    page.context.clear_cookies()
    page.get_by_role("textbox", name="Epochs").fill("7")
    expect(login).to_be_visible()
    # Nobody sees it before they have said who they are.
    with page.expect_request("**/v1/session"):
        page.go_back()
    log_in(page, ours)
    expect(submit).to_be_enabled()
    expect(name).to_have_value("written at length")
    expect(page.get_by_role("region", name="YAML", exact=True)).to_contain_text("epochs: 7")
    with page.expect_request("**/v1/events"):
        page.goto("/#/data")
    drop(page, "signs.zip", b"an archive")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    for token in (ours, other):
        expect(upload).to_be_enabled()
        # As in another tab; the stream of events is let go of then, and finds out.
        page.evaluate("fetch('/v1/session', {method: 'DELETE'})")
        expect(login).to_be_visible()
        asked.clear()
        # Longer than the page ever waits before it asks again; what is asked for now comes after all that it asked.
        page.clock.run_for(30_000)
        page.evaluate("fetch('/page/page.js')")
        assert asked[-1].endswith("/page/page.js")
        assert [url for url in asked if "/v1/" in url] == []
        with page.expect_request("**/v1/events"):
            log_in(page, token)
        expect(name).to_have_value("signs" if token == ours else "")
    expect(upload).to_be_disabled()
    page.goto("/#/import")
    page.get_by_label("Choose a file").set_input_files({"name": "mine.safetensors", "mimeType": "", "buffer": _EMPTY})
    expect(page.get_by_text("mine.safetensors, 10 bytes, 0 tensors")).to_be_visible()
    expect(page.get_by_role("button", name="Import", exact=True)).to_be_enabled()
    page.context.clear_cookies()
    page.get_by_role("button", name="Import", exact=True).click()
    log_in(page, other)
    expect(page.get_by_text("mine.safetensors, 10 bytes, 0 tensors")).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)
    page.goto("/#/new")
    expect(submit).to_be_enabled()
    expect(name).not_to_have_value("written at length")
    page.goto("/#/system")
    page.get_by_role("button", name="Log out").click()
    log_in(page, ours)
    expect(page.get_by_role("link", name=HOSTILE)).to_be_visible()


def log_in(page: Page, token: str) -> None:
    page.get_by_label("Token", exact=True).fill(token)
    page.get_by_role("button", name="Log in").click()

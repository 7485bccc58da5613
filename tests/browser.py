"""A real Chromium for the tests: the machine's own, with nothing of it let out to the network."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, Page, expect, sync_playwright
from playwright.sync_api import Error as PlaywrightError

MISSING = (
    "Chromium is not on this machine, so the page was not tried in a browser: `apt-get install chromium` brings it."
)
# What a machine that others keep busy may take; pytest ends a test after 300 s.
_PATIENCE_MS = 240_000
_LAST_LOOK_MS = 5_000
_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
_NOTE_VIOLATIONS = """
    window.violations = [];
    document.addEventListener("securitypolicyviolation", (event) => violations.push(event.violatedDirective));
"""
_GRAVE = """
    (options) => axe.run(options).then(({ violations }) => violations
        .filter(({ impact }) => ["serious", "critical"].includes(impact))
        .map(({ id, nodes }) => [id, nodes[0].html]))
"""


def executable() -> str | None:
    """Where Chromium is, None where it is not."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


@contextmanager
def running_chromium() -> Iterator[Browser]:
    """A browser inside the block."""
    expect.set_options(timeout=_PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable(), args=list(_FLAGS))
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(browser: Browser, url: str, **context: Any) -> Iterator[Page]:
    """A tab of a visitor of its own; at the end of the block nothing has gone wrong in it.

    That is: no script failed, and nothing was kept from the page by its Content-Security-Policy. The visitor wants no
    motion, unless it is said: what moves is drawn up to sixty times a second, here by the processor. An error in the
    block says what was seen then.
    """
    faults: list[str] = []
    missed: list[str] = []
    visitor = browser.new_context(**{"base_url": url, "reduced_motion": "reduce"} | context)
    visitor.set_default_timeout(_PATIENCE_MS)
    page = visitor.new_page()
    page.add_init_script(_NOTE_VIOLATIONS)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("requestfailed", lambda request: missed.append(f"{request.url}: {request.failure}"))
    page.goto("/")
    try:
        yield page
        faults += page.evaluate("violations")
    except BaseException as error:
        # Who is out of time asks the page nothing more.
        if isinstance(error, Exception):
            with suppress(PlaywrightError):
                error.add_note(f"{page.url} shows:\n{page.locator('body').inner_text(timeout=_LAST_LOOK_MS)}")
                faults += page.evaluate("violations")
        error.add_note("\n".join(["It had no answer to, or ended itself:", *missed, "Its faults:", *faults]))
        raise
    finally:
        visitor.close()
    assert not faults, faults


def barriers(page: Page, *rules: str) -> list[tuple[str, str]]:
    """What keeps people out of what is shown: the grave ones of axe's findings, each with an element.

    By these of its rules alone, if any is named.
    """
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE_SCRIPT)
    # It would write a selector for each element that it has looked at, and send all that it found nothing in.
    options = {"resultTypes": ["violations"], "selectors": False} | ({"runOnly": list(rules)} if rules else {})
    return [(rule, element) for rule, element in page.evaluate(_GRAVE, options)]

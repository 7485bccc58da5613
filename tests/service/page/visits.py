"""Where visitors of the page go, what they find there, and what they bring."""

import base64
import re
from decimal import ROUND_HALF_UP, Decimal
from typing import TypeVar

from playwright.sync_api import Page

from tests.e2e.system import System

_Held = TypeVar("_Held")
HOSTILE = "<img src=x onerror=\"document.title='taken over'\"> & 'more'"
_DROPPED = """([name, content]) => {
    const given = new DataTransfer();
    given.items.add(new File([Uint8Array.from(atob(content), (each) => each.charCodeAt(0))], name));
    return given;
}"""


def url_of(system: System) -> str:
    """The page of that system."""
    return f"http://127.0.0.1:{system.port}"


def drop(page: Page, name: str, content: bytes) -> None:
    """Let a file fall on the place for one, as from a folder's window."""
    given = page.evaluate_handle(_DROPPED, [name, base64.b64encode(content).decode()])
    page.locator(".drop").dispatch_event("drop", {"dataTransfer": given})


def awaited(page: Page, held: list[_Held]) -> _Held:
    """What is held, as soon as there is anything."""
    while not held:
        page.wait_for_timeout(20)
    return held.pop()


def percent(share: float) -> str:
    """As the page writes it, which rounds halves up."""
    return str(Decimal(share * 100).quantize(Decimal("0.1"), ROUND_HALF_UP))


def places_in_gallery(page: Page) -> list[int]:
    """The positions in the test set of the images that the gallery shows, in its order."""
    sources = page.locator(".gallery img").evaluate_all("(all) => all.map((each) => each.getAttribute('src'))")
    return [int(place) for source in sources for place in re.findall(r"/(\d+)\.png", source)]

"""`python -m benchmarks.pictures.page_views --into FOLDER`: pictures of every view, wide and narrow, light and dark.

They are of a Gauntlet that has something of everything, and of an empty one.
"""

import argparse
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.pictures.showcase import furnish
from benchmarks.serving.served import Served, served

FLAGS: Final = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
_WIDTHS: Final = (1280, 390)
_LOOKS: Final = ("light", "dark")
_TALLEST: Final = 6_000
# What is counted and what comes later has been put there.
_SETTLE_MS: Final = 700


def main() -> None:
    """Write FOLDER/VIEW-WIDTH-LOOK.png."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--into", type=Path, required=True)
    parser.add_argument("--home", type=Path, help="a data folder to keep for the next time")
    parser.add_argument("--only", nargs="*", help="names of views")
    given = parser.parse_args()
    given.into.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        with served(home=given.home) as full:
            with full.client() as client:
                furnished = any(client.experiments())
            if not furnished:
                furnish(full)
            _picture(
                browser,
                full,
                {name: path for name, path in _views(full) if not given.only or name in given.only},
                given.into,
            )
        if not given.only or "empty" in given.only:
            with served() as empty:
                paths = {f"empty-{name}": path for name, path in _NOTHING.items()}
                _picture(browser, empty, paths, given.into)
        browser.close()


_NOTHING: Final = {
    "home": "",
    "attack": "attack",
    "leaderboard": "leaderboard",
    "checkpoints": "checkpoints",
    "compare": "compare",
    "missing": "experiments/exp_01",
    "nowhere": "nowhere",
}


def _views(api: Served) -> Iterator[tuple[str, str]]:
    """Name and path of each view, and of some states of it."""
    with api.client() as client:
        of = {each.name: each for each in client.experiments()}
        finished = next(each.id for each in of.values() if each.status == "succeeded")
        running = next(each.id for name, each in of.items() if name.startswith("The paper"))
        hostile = next(each.id for name, each in of.items() if name.startswith("<img"))
        long = next(each.id for name, each in of.items() if name.startswith("a-name"))
        evaluations = [each for each in client.evaluations(experiment=finished) if each.outcome is not None]
    yield "home", ""
    yield "experiment", f"experiments/{finished}"
    yield "experiment-running", f"experiments/{running}"
    yield "experiment-hostile", f"experiments/{hostile}"
    yield "experiment-long", f"experiments/{long}"
    yield "attack", f"attack?evaluation={evaluations[0].id}"
    yield "leaderboard", "leaderboard"
    yield "checkpoints", "checkpoints"
    yield "checkpoint", f"checkpoints/{evaluations[0].checkpoint}"
    yield "import", "import"
    yield "compare", f"compare?experiment={finished}&experiment={running}&experiment={hostile}"
    yield "data", "data"
    yield "system", "system"
    yield "new", f"new?like={finished}"
    yield "new-hostile", f"new?like={hostile}"
    yield "login", "login"


def _choose_what_loses_an_image(page: Page) -> None:
    """The first evaluation whose gallery is not empty."""
    evaluations = page.locator("select[data-part=evaluation]")
    for position in range(evaluations.locator("option").count()):
        evaluations.select_option(index=position)
        page.wait_for_timeout(_SETTLE_MS)
        if page.locator(".gallery button").count():
            return


def _picture(browser: Browser, api: Served, paths: dict[str, str], into: Path) -> None:
    for width in _WIDTHS:
        context = browser.new_context(base_url=api.url, viewport={"width": width, "height": 900})
        context.request.post("/v1/session", data={"token": api.tokens["admin"]}, headers={"Origin": api.url})
        page = context.new_page()
        for name, path in paths.items():
            page.set_viewport_size({"width": width, "height": 900})
            page.goto(f"/#/{path}")
            page.wait_for_timeout(_SETTLE_MS)
            page.locator("main h1").first.wait_for()
            page.get_by_text("Looking …").first.wait_for(state="hidden")
            if name == "attack":
                _choose_what_loses_an_image(page)
                page.locator(".gallery button").first.click()
                page.locator(".subject").first.wait_for()
                page.get_by_role("slider").press("End")
            page.wait_for_timeout(_SETTLE_MS)
            tall = min(_TALLEST, max(900, page.evaluate("document.documentElement.scrollHeight")))
            page.set_viewport_size({"width": width, "height": tall})
            for look in _LOOKS:
                page.emulate_media(color_scheme=look)
                page.wait_for_timeout(100)
                page.screenshot(path=into / f"{name}-{width}-{look}.png")
            wide = page.evaluate("document.documentElement.scrollWidth")
            if wide > width:
                print(f"{name} at {width} is {wide} wide", flush=True)
        context.close()


if __name__ == "__main__":
    main()

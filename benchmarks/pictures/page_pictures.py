"""`python -m benchmarks.pictures.page_pictures`: the README's pictures of the page, of a Gauntlet with results.

Light and dark. It takes the newest experiment that succeeded, or one that is named, and puts an image under attack that
one of its two newest evaluations withstands and the other does not, whichever of them ended first.
"""

import argparse
import io
import shutil
from pathlib import Path
from typing import Final, Literal

from PIL import Image
from playwright.sync_api import FloatRect, Page, sync_playwright

from benchmarks.pictures.page_views import FLAGS
from gauntlet.client import GauntletClient

_WIDTH: Final = 1280
_BELOW: Final = 24
# Flat colours: as many do, and the file has a quarter of the bytes.
_COLOURS: Final = 255
# The page's words for the first one's images that the other loses, and the other's.
_SIDES: Final = ("other", "one")


def main() -> None:
    """Write page-experiment.png and page-attack.png, and the same with -dark before the dot."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--into", type=Path, default=Path("docs"))
    parser.add_argument("--experiment", help="its id")
    given = parser.parse_args()
    with GauntletClient(given.url) as gauntlet:
        done = (each.id for each in gauntlet.experiments() if each.status == "succeeded")
        experiment = given.experiment or next(done, None)
        if experiment is None:
            parser.error(f"No experiment at {given.url} has succeeded; `gauntlet submit quickstart --watch` makes one.")
        measured = [each.id for each in gauntlet.evaluations(experiment=experiment) if each.outcome is not None][:2]
        if len(measured) < len(_SIDES):
            parser.error(f"The experiment {experiment} has no two evaluations that found something.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        page = browser.new_page(base_url=given.url, viewport={"width": _WIDTH, "height": 1_000})
        page.goto(f"/#/experiments/{experiment}")
        page.locator("svg.chart").first.wait_for()
        page.locator("[data-part=measured] table").first.wait_for()
        _keep(page, given.into / "page-experiment.png", down_to="[data-part=curves] figure")
        _choose_what_one_withstands(page, *measured)
        page.locator(".subject").first.wait_for()
        _move_until_one_is_fooled(page)
        page.mouse.click(5, 300)
        _keep(page, given.into / "page-attack.png", down_to="[data-part=curve] svg.chart")
        browser.close()


def _choose_what_one_withstands(page: Page, one: str, other: str) -> None:
    """Of the two, one takes more images rightly, and may lose none that the other withstands."""
    page.goto(f"/#/attack?evaluation={one}")
    page.locator("[data-part=other]").select_option(other)
    for side in _SIDES:
        page.locator("[data-part=which]").select_option(side)
        page.get_by_text("Choose one to put it").wait_for()
        if page.locator(".gallery button").count():
            page.locator(".gallery button").first.click()
            return
    raise SystemExit(f"The evaluations {one} and {other} withstand the same images.")


def _move_until_one_is_fooled(page: Page) -> None:
    """From no budget on; at the largest one at the latest."""
    page.get_by_role("slider").press("Home")
    while not page.locator(".triptych .fooled").count():
        page.keyboard.press("ArrowRight")
        if page.get_by_role("slider").input_value() == page.get_by_role("slider").get_attribute("max"):
            return


def _keep(page: Page, file: Path, *, down_to: str) -> None:
    """The page's top, as far as the element that is named, in both looks."""
    looks: tuple[tuple[Literal["light", "dark"], str], ...] = (("light", ""), ("dark", "-dark"))
    for look, ending in looks:
        page.emulate_media(color_scheme=look)
        page.evaluate("scrollTo(0, 0)")
        page.wait_for_timeout(1_000)
        bottom = page.locator(down_to).first.evaluate("(element) => element.getBoundingClientRect().bottom")
        shown = FloatRect(x=0, y=0, width=_WIDTH, height=round(bottom) + _BELOW)
        with Image.open(io.BytesIO(page.screenshot(clip=shown, full_page=True))) as picture:
            flat = picture.convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE)
            flat.save(file.with_stem(file.stem + ending), optimize=True)


if __name__ == "__main__":
    main()

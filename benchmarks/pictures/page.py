"""`python -m benchmarks.pictures.page`: how fast the page opens and scrolls, by Chromium's own trace.

An experiment of 100 runs, 220 epochs and 8 metrics is opened by the first visitor that a service has, and again; then
scrolled through from top to bottom with the wheel. Home is opened likewise, among fifty experiments.
"""

import argparse
import json
import os
import shutil
import statistics
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize, sync_playwright

from benchmarks.machine import describe_machine
from benchmarks.pictures.page_views import FLAGS
from benchmarks.pictures.showcase import store_many_runs
from benchmarks.serving.served import Served, served
from benchmarks.serving.stored import copy_experiment, do_an_experiment

_SEEDS, _EPOCHS = 50, 220
_AGAIN: Final = 5
_PX_PER_S: Final = 2_500
_FIGURES: Final = 4
_TRACED: Final = ["toplevel", "devtools.timeline", "disabled-by-default-devtools.timeline.frame"]
_WINDOW: Final = ViewportSize(width=1280, height=900)
# When what is waited for is there, by the page's own clock: it begins with the navigation, and the next frame shows it.
_WATCH: Final = """
    window.seen = {};
    const look = () => {
        for (const [name, selector] of Object.entries(WANTED)) {
            if (!(name in seen) && document.querySelectorAll(selector[0]).length >= selector[1]) {
                requestAnimationFrame((now) => (seen[name] = now));
            }
        }
    };
    new MutationObserver(look).observe(document, { subtree: true, childList: true, attributes: true });
"""
_WANTED: Final = {
    "experiment_curves_s": ["svg.chart", _FIGURES],
    "experiment_runs_s": ["[data-part=runs] tbody tr", 2 * _SEEDS],
    "home_rows_s": ["[data-part=table] tbody tr", 50],
}


def main() -> None:
    """Measure, and write what came out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gauntlet-page-") as folder, sync_playwright() as playwright:
        home = Path(folder)
        with served(home=home) as api:
            copy_experiment(api.settings, do_an_experiment(api.settings), 60)
            experiment = store_many_runs(api.settings, _SEEDS, _EPOCHS)
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        found = {
            "machine": describe_machine(),
            "chromium": browser.version,
            "load": round(os.getloadavg()[0], 2),
        } | _measure(browser, home, experiment)
        browser.close()
    print(json.dumps(found, indent=2))
    if given.out:
        given.out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def _measure(browser: Browser, home: Path, experiment: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    with served(home=home) as api:
        # Of a service that has answered nothing yet, to a browser that has nothing of it.
        visitor = _visitor(browser, api)
        page = visitor.new_page()
        found["experiment_first_visit"] = _opened(page, f"experiments/{experiment}", "experiment")
        found["experiment_scrolled"] = _scrolled(browser, page)
        page.close()
        found["experiment_again"] = _opened_again(visitor, f"experiments/{experiment}", "experiment")
        visitor.close()
    with served(home=home) as api:
        visitor = _visitor(browser, api)
        found["home_first_visit"] = _opened(visitor.new_page(), "", "home")
        found["home_again"] = _opened_again(visitor, "", "home")
        visitor.close()
    return found


def _visitor(browser: Browser, api: Served) -> BrowserContext:
    """Somebody who is logged in; nothing else was asked of the service."""
    visitor = browser.new_context(base_url=api.url, viewport=_WINDOW)
    visitor.request.post("/v1/session", data={"token": api.tokens["admin"]}, headers={"Origin": api.url})
    visitor.add_init_script(_WATCH.replace("WANTED", json.dumps(_WANTED)))
    return visitor


def _opened(page: Page, path: str, view: str) -> dict[str, float]:
    """Seconds from the navigation to each thing that is waited for, to the first paint, and kilobytes that came."""
    names = [name for name in _WANTED if name.startswith(view)]
    page.goto(f"/#/{path}")
    page.wait_for_function("(names) => names.every((name) => name in seen)", arg=names)
    seen = page.evaluate("seen")
    paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    entries = "[...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]"
    # Without the API's answers, which are no part of the page.
    sent = page.evaluate(
        f"{entries}.filter((e) => !e.name.includes('/v1/')).reduce((sum, e) => sum + e.transferSize, 0)"
    )
    seconds = {name: round(seen[name] / 1_000, 3) for name in names}
    return {"first_paint_s": round(paint / 1_000, 3), "page_kb": round(sent / 1_000, 1)} | seconds


def _opened_again(visitor: BrowserContext, path: str, view: str) -> dict[str, float]:
    """Medians over visits in tabs of their own. Each is closed: six that are seen at once have all connections."""
    visits = []
    for _ in range(_AGAIN):
        page = visitor.new_page()
        visits.append(_opened(page, path, view))
        page.close()
    return {name: round(statistics.median(each[name] for each in visits), 3) for name in visits[0]}


def _scrolled(browser: Browser, page: Page) -> dict[str, float]:
    """Frames and the renderer's longest task while the page is scrolled to its end and back, from the trace."""
    page.wait_for_timeout(1_500)
    height = page.evaluate("document.documentElement.scrollHeight") - _WINDOW["height"]
    devtools = page.context.new_cdp_session(page)
    browser.start_tracing(page=page, categories=_TRACED)
    for way in (-height, height):
        gesture = {"x": 640, "y": 700, "yDistance": way, "speed": _PX_PER_S, "gestureSourceType": "mouse"}
        devtools.send("Input.synthesizeScrollGesture", gesture)
    events = json.loads(browser.stop_tracing())["traceEvents"]
    drawn = sorted(event["ts"] for event in events if event["name"] == "DrawFrame")
    frames = sorted((later - earlier) / 1_000 for earlier, later in pairwise(drawn))
    main = {
        (event["pid"], event["tid"])
        for event in events
        if event["name"] == "thread_name" and event["args"]["name"] == "CrRendererMain"
    }
    tasks = [event for event in events if event["name"].endswith("RunTask") and (event["pid"], event["tid"]) in main]
    return {
        "height_px": height + _WINDOW["height"],
        "frames": len(frames),
        "median_frame_ms": round(statistics.median(frames), 1),
        "frame_ms_at_95_of_100": round(frames[int(len(frames) * 0.95)], 1),
        "longest_frame_ms": round(frames[-1], 1),
        "longest_task_ms": round(max(event["dur"] for event in tasks) / 1_000, 1),
    }


if __name__ == "__main__":
    main()

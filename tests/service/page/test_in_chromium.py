"""The page in a real browser, with a real system behind it."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import update

import service.page
from gauntlet.report.report import Report
from gauntlet.resources import Evaluation
from gauntlet.spec.evaluations.attacks import attack_label
from store.database import Database
from store.models import Experiment
from tests.browser import barriers, opened
from tests.e2e.system import System
from tests.pictures import encoded
from tests.service.page.visits import HOSTILE, drop, percent, places_in_gallery, url_of

pytestmark = pytest.mark.long(seconds=40, shares="page")


def test_first_visit_to_a_running_quickstart(chromium: Browser, whole_system: System) -> None:
    """An empty Gauntlet says what to do; one click starts the quickstart, which is followed live, and cancelled."""
    if list(whole_system.client.experiments()):
        pytest.skip("another test was first")
    # This visitor minds no motion.
    with opened(chromium, url_of(whole_system), reduced_motion="no-preference") as page:
        expect(page.get_by_text("Nothing has been trained here yet")).to_be_visible()
        assert barriers(page) == []
        page.goto("/#/attack")
        expect(page.get_by_role("heading", name="There is no network to attack yet")).to_be_visible()
        expect(page.get_by_label("Evaluation")).to_be_hidden()
        page.get_by_role("link", name="experiments", exact=True).click()
        page.get_by_role("button", name="Start the quickstart").click()
        expect(page.get_by_role("heading", name="quickstart")).to_be_visible()
        expect(page.get_by_role("progressbar").first).to_be_visible()
        # The curve grows without anybody's doing; a first epoch may take minutes beside other tests.
        expect(page.get_by_role("img", name=re.compile("Test accuracy, % over epoch"))).to_be_visible(timeout=240_000)
        moving = "document.getAnimations().map((each) => [each.animationName, each.playState])"
        assert ["turn", "running"] in page.evaluate(moving)
        page.once("dialog", lambda dialog: dialog.accept())
        page.get_by_role("button", name="Cancel", exact=True).click()
        expect(page.locator(".head .status")).to_have_text(re.compile("cancelled"))
    (experiment,) = whole_system.client.experiments()
    assert (experiment.name, experiment.status) == ("quickstart", "cancelled")


@pytest.mark.thorough
def test_a_finished_experiment_is_read(chromium: Browser, whole_system: System, finished: str) -> None:
    """From home to the numbers of the report, with their intervals; a hostile name is text everywhere."""
    report = whole_system.client.report(finished)
    with opened(chromium, url_of(whole_system)) as page:
        page.get_by_role("searchbox").fill("onerror")
        row = page.get_by_role("row").filter(has_text="onerror")
        expect(row).to_have_count(1)
        best = max(each.accuracies[report.headline] for each in report.rows)
        expect(row).to_contain_text(f"{percent(best)} %")
        page.get_by_text("Columns", exact=True).click()
        page.get_by_label("Seeds", exact=True).check()
        page.get_by_role("button", name="Age", exact=True).click()
        page.reload()
        expect(page.get_by_role("columnheader", name="Seeds")).to_be_visible()
        expect(page.get_by_role("columnheader", name="Age")).to_have_attribute("aria-sort", "descending")
        expect(page.get_by_role("searchbox")).to_have_value("onerror")
        expect(page.get_by_text(re.compile("1 worker alive, 0 of 1 slot busy; the queue is empty"))).to_be_visible()
        row.get_by_role("link", name=HOSTILE).click()
        expect(page.get_by_role("heading", name=HOSTILE)).to_be_visible()
        expect(page.get_by_text(report.result)).to_be_visible()
        cells = page.get_by_role("region", name="Means over seeds")
        expect(cells).to_contain_text(percent(report.summaries[0].natural_accuracy.mean))
        assert page.title() == f"{HOSTILE} · Gauntlet"
        assert page.locator("img[src=x]").count() == 0
        figure = page.get_by_role("img", name=re.compile("^Test accuracy, %"))
        figure.focus()
        page.keyboard.press("ArrowRight")
        first = report.curves[0].epochs[0]
        expect(page.locator("figure").filter(has=figure).locator("output")).to_contain_text(f"epoch {first}:")
        marks = [figure.locator(f"circle.{kind}") for kind in ("mark", "last")]
        told = [f"{word} epoch, {epoch}" for word, epoch in (("best", best_epoch(report)), ("last", 4))]
        for mark, words in zip(marks, told, strict=True):
            expect(mark).to_have_text(words)
        expect(figure.locator("path.seed")).to_have_count(0)
        page.get_by_label("Single runs").check()
        expect(figure.locator("path.seed")).to_have_count(2)
        under = [percent(report.summaries[0].accuracies[each.key].mean) for each in report.columns]
        natural = percent(report.summaries[0].natural_accuracy.mean)
        of_eps = ", ".join(f"{share} % at {eps}" for eps, share in zip((0, 8, 32, 48), (natural, *under), strict=True))
        expect(page.get_by_role("img", name=re.compile(f"^FGSM: right, % .*{of_eps}"))).to_be_visible()
        classes = page.get_by_role("region", name="Per class").locator("tbody tr")
        for row, shares in zip(classes.all(), shares_of_classes(report), strict=True):
            expect(row.get_by_role("cell")).to_have_text(shares)
        sure = page.get_by_role("region", name="How sure, how far, how steep").locator("tbody tr")
        for row, each in zip(sure.all(), report.rows, strict=True):
            margins = each.outcome.margins
            assert margins is not None
            expect(row.get_by_role("cell").nth(2)).to_have_text(percent(margins.confidence))
            expect(row.get_by_role("cell").nth(3)).to_contain_text(percent(margins.given_up.value))
        links = page.locator("[data-key=downloads] a")
        found = [page.request.get(each.get_attribute("href") or "") for each in links.all()]
        assert [each.status for each in found] == [200] * 10
        assert len({each.headers["content-type"] for each in found}) == 6


@pytest.mark.thorough
def test_a_picture_is_put_under_attack(chromium: Browser, whole_system: System, finished: str) -> None:
    """A test image from the gallery, attacked at all budgets at once; the slider shows what the API found at each."""
    found = {each.id: lost_first(whole_system, each) for each in whole_system.client.evaluations(experiment=finished)}
    # One that does not lose its images in the order in which they stand in the test set.
    evaluation, lost = next((each, lost) for each, lost in found.items() if lost != sorted(lost))
    with opened(chromium, url_of(whole_system)) as page:
        page.goto(f"/#/attack?evaluation={evaluation}")
        expect(page.locator(".gallery img")).to_have_count(len(lost))
        assert places_in_gallery(page) == lost
        page.get_by_label("Show").select_option("withstood")
        with page.expect_response("**/v1/classifications") as answered:
            page.locator(".gallery button").first.click()
        (subject,) = answered.value.json()["data"]
        slider = page.get_by_role("slider", name="ε")
        slider.focus()
        page.keyboard.press("End")
        expect(page.locator("output[for=budget]")).to_have_text("32/255")
        last = subject["attack"]["budgets"][-1]
        expect(
            page.get_by_text(f"attacked: {last['label']}, {percent(last['probabilities'][0]['probability'])} %")
        ).to_be_visible()
        page.keyboard.press("Home")
        expect(page.get_by_text("no perturbation")).to_be_visible()
        expect(page.get_by_text(f"attacked: {subject['label']}, {percent(subject['probability'])} %")).to_be_visible()
        assert page.evaluate(_SAME_PIXELS)
        expect(page.get_by_role("img", name=re.compile("^Probability of the right class"))).to_be_visible()
        expect(page.get_by_text(f"weights {subject['attack']['weights_sha256'][:12]}")).to_be_visible()
        assert barriers(page) == []
        with page.expect_response("**/v1/classifications") as answered:
            page.get_by_label("Kind").select_option("noise")
        assert "noise" in answered.value.json()["data"][0]["attack"]["attack"]
        with page.expect_response("**/v1/classifications") as answered:
            drop(page, "mine.png", encoded(Image.new("RGB", (40, 30), (250, 0, 0))))
        assert answered.value.json()["data"][0]["image"] == "mine.png"
        expect(page.get_by_label("Take a photo")).to_have_attribute("capture", "environment")


@pytest.mark.thorough
def test_images_that_one_model_withstands_and_the_other_does_not(
    chromium: Browser, whole_system: System, finished: str
) -> None:
    """The gallery holds those whose rows say so, and both networks are put under attack with the one chosen.

    Rows that cannot be read are told of, and read on demand.
    """
    client = whole_system.client
    one, other = list(client.evaluations(experiment=finished))[:2]
    label = one.attacks[-1].label
    robust = [{each.position: each.attacks[label].robust for each in client.images(of.id)} for of in (one, other)]
    wrong = [{each.position for each in client.images(of.id) if each.natural != each.label} for of in (one, other)]
    wanted = [at for at, withstood in robust[0].items() if withstood and not robust[1][at] and at not in wrong[1]]
    with opened(chromium, url_of(whole_system)) as page:
        page.goto(f"/#/attack?evaluation={one.id}")
        expect(page.get_by_text(f"of {len(robust[0])}. Those that fall")).to_be_visible()
        page.context.set_offline(True)
        page.get_by_label("beside").select_option(other.id)
        expect(page.get_by_text("The service does not answer.")).to_be_visible()
        page.context.set_offline(False)
        page.get_by_role("button", name="Try again").click()
        expect(
            page.get_by_text(f"{len(wanted)} image{'' if len(wanted) == 1 else 's'} of {len(robust[0])}.")
        ).to_be_visible()
        expect(page.locator(".gallery img")).to_have_count(len(wanted))
        assert sorted(places_in_gallery(page)) == sorted(wanted)


def lost_first(system: System, evaluation: Evaluation) -> list[int]:
    """Positions of what is right, but not under the largest budget, by the smallest that is enough."""
    *smaller, largest = (each.label for each in evaluation.attacks)
    right = [each for each in system.client.images(evaluation.id) if each.natural == each.label]
    order = sorted(right, key=lambda each: (sum(each.attacks[label].robust for label in smaller), each.position))
    return [each.position for each in order if not each.attacks[largest].robust]


def best_epoch(report: Report) -> int:
    """The epoch of the highest test accuracy, the mean over seeds."""
    means = [sum(found) for found in zip(*(each.test_accuracy for each in report.curves), strict=True)]
    return report.curves[0].epochs[means.index(max(means))]


def shares_of_classes(report: Report) -> list[list[str]]:
    """What is right of each class in all rows together, without attack and under the one compared in."""
    (label,) = report.headline_column().attacks
    attacked = [each for row in report.rows for each in row.outcome.attacks if attack_label(each.attack) == label]
    found = []
    for outcomes in ([row.outcome for row in report.rows], attacked):
        total = np.sum([each.confusion for each in outcomes], axis=0)
        counts = zip(total.diagonal(), total.sum(axis=1), strict=True)
        found.append([str(int(100 * right / n + 0.5)) if n else "–" for right, n in counts])
    return found


# Whether what is shown as attacked is what is shown as natural.
_SAME_PIXELS = """() => {
    const [natural, , attacked] = document.querySelectorAll(".triptych canvas");
    const pixels = (canvas) => canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
    return pixels(natural).every((value, place) => value === pixels(attacked)[place]);
}"""


@pytest.mark.thorough
@pytest.mark.usefixtures("finished")
def test_experiments_are_found_by_when_they_were_made(
    chromium: Browser, whole_system: System, database: Database, tiny_document: dict[str, Any]
) -> None:
    """From a day to a day, both included and the reader's own, of all that there are; a choice stays."""
    old = whole_system.client.submit(tiny_document | {"name": "of long ago"}).id
    whole_system.client.cancel_experiment(old)
    with database.writing() as session:
        noon = datetime(2020, 6, 15, 12, tzinfo=UTC).timestamp()
        session.execute(update(Experiment).where(Experiment.id == old).values(created_at=noon))
    narrow: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark"}
    # Where it was two in the morning of the next day.
    with opened(chromium, url_of(whole_system), timezone_id="Pacific/Kiritimati", **narrow) as page:
        before, now = (page.get_by_role("row").filter(has_text=each) for each in ("of long ago", "onerror"))
        first, last = page.get_by_label("Made from"), page.get_by_label("Made to")
        expect(now).to_have_count(1)
        expect(before).to_have_count(1)
        page.get_by_text("When", exact=True).click()
        first.fill("2020-06-17")
        expect(before).to_have_count(0)
        expect(now).to_have_count(1)
        with page.expect_request(re.compile(r"/v1/experiments\?limit=50&since=2020-06-15T10.*&until=2020-06-16T10")):
            first.fill("2020-06-16")
            last.fill("2020-06-16")
        expect(before).to_have_count(1)
        expect(now).to_have_count(0)
        page.reload()
        expect(before).to_have_count(1)
        expect(now).to_have_count(0)
        assert barriers(page) == []
        assert width_of(page) <= 390
        expect(page.get_by_text("1 experiment of that time shown.")).to_be_visible()
        page.get_by_text("When", exact=True).click()
        with page.expect_response(re.compile(r"since=2020-06-14T10.*&until=2020-06-15T10")):
            last.fill("2020-06-15")
            first.fill("2020-06-15")
        expect(page.get_by_text("None was made then.")).to_be_visible()
        expect(before).to_have_count(0)
        first.fill("")
        last.fill("")
        expect(now).to_have_count(1)
    whole_system.client.delete_experiment(old)


@pytest.mark.thorough
def test_nobody_is_kept_out_of_any_view(chromium: Browser, whole_system: System, finished: str) -> None:
    """axe finds nothing grave on any view, wide or narrow, light or dark; none is wider than its screen.

    Whatever can be done there can be done with the keyboard, which shows where it is.
    """
    checkpoint = next(iter(whole_system.client.checkpoints())).id
    paths = paths_of_views(finished, checkpoint)
    # A view that is added is walked too.
    assert set(paths) == {file.stem for file in VIEWS.glob("*.html")}
    with opened(chromium, url_of(whole_system)) as page:
        for path in paths.values():
            page.goto(f"/#/{path}")
            expect(page.locator("main > *")).not_to_have_count(0)
            expect(page.get_by_text("Looking …")).to_have_count(0)
            expect(page.locator("main h1")).not_to_have_text("…")
            assert page.evaluate(_OUT_OF_REACH) == [], path
            for width, look in ((390, "light"), (1280, "dark")):
                page.set_viewport_size({"width": width, "height": 844})
                page.emulate_media(color_scheme=look)
                assert barriers(page) == [], (path, width, look)
                assert width_of(page) <= width, path
                # Of all that axe looks at, colours alone hang on the look.
                page.emulate_media(color_scheme="dark" if look == "light" else "light")
                assert barriers(page, "color-contrast") == [], (path, width)
            assert page.evaluate("document.getAnimations().every((each) => each.playState !== 'running')"), path


VIEWS = Path(service.page.__file__).parent / "views"
# Parts of a view that do something and take no focus, and such as do not show that they have it.
_OUT_OF_REACH = """() => {
    const seen = [...document.querySelectorAll("body *")].filter((each) => each.checkVisibility());
    const kinds = "a[href], button, input, select, textarea, summary";
    const able = seen.filter((each) => each.onclick || each.onkeydown || each.matches(kinds));
    const shown = ({ outlineStyle, outlineWidth }) => outlineStyle !== "none" && parseFloat(outlineWidth) >= 1;
    return able.filter((each) => {
        if (each.disabled) return false;
        each.focus({ focusVisible: true, preventScroll: true });
        const place = each.closest("label.button") ?? each;
        return each.tabIndex < 0 || document.activeElement !== each || !shown(getComputedStyle(place));
    }).map((each) => each.outerHTML.slice(0, 120));
}"""


def paths_of_views(experiment: str, checkpoint: str) -> dict[str, str]:
    """Where each view is seen with something in it, by the name of its template."""
    alone = ("attack", "leaderboard", "checkpoints", "data", "system", "new", "import", "login")
    return {name: name for name in alone} | {
        "home": "",
        "experiment": f"experiments/{experiment}",
        "checkpoint": f"checkpoints/{checkpoint}",
        "compare": f"compare?experiment={experiment}",
    }


def width_of(page: Page) -> int:
    width: int = page.evaluate("document.documentElement.scrollWidth")
    return width

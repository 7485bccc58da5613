"""The page in a real browser, with a real system behind it."""

import re
import socket
import zipfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

import service.page
from client import GauntletClient
from gauntlet.spec.tokens import TokenRequest
from store import secret_key, tokens
from store.database import Database
from tests.browser import barriers, opened
from tests.e2e.system import System, await_that
from tests.pictures import encoded

pytestmark = pytest.mark.long

HOSTILE = "<img src=x onerror=\"document.title='taken over'\"> & 'more'"


def url_of(system: System) -> str:
    return f"http://127.0.0.1:{system.port}"


@pytest.fixture(scope="module")
def finished(whole_system: System, tiny_spec: Any) -> str:
    """An experiment that has succeeded, under a hostile name; its id."""
    document = tiny_spec.model_dump(mode="json") | {"name": HOSTILE, "seeds": [0, 1]}
    experiment = whole_system.client.submit(document)
    await_that(lambda: whole_system.client.experiment(experiment.id).status == "succeeded")
    return experiment.id


def test_first_visit_to_a_running_quickstart(chromium: Browser, whole_system: System) -> None:
    """An empty Gauntlet says what to do; one click starts the quickstart, which is followed live, and cancelled."""
    if list(whole_system.client.experiments()):
        pytest.skip("another test was first")
    with opened(chromium, url_of(whole_system)) as page:
        expect(page.get_by_text("Nothing has been trained here yet")).to_be_visible()
        assert barriers(page) == []
        page.get_by_role("button", name="Start the quickstart").click()
        expect(page.get_by_role("heading", name="quickstart")).to_be_visible()
        expect(page.get_by_role("progressbar").first).to_be_visible()
        # The curve grows without anybody's doing.
        expect(page.get_by_role("img", name=re.compile("Test accuracy, % over epoch"))).to_be_visible()
        page.once("dialog", lambda dialog: dialog.accept())
        page.get_by_role("button", name="Cancel", exact=True).click()
        expect(page.locator(".head .status")).to_have_text(re.compile("cancelled"))
    (experiment,) = whole_system.client.experiments()
    assert (experiment.name, experiment.status) == ("quickstart", "cancelled")


def test_a_finished_experiment_is_read(chromium: Browser, whole_system: System, finished: str) -> None:
    """From home to the numbers of the report, with their intervals; a hostile name is text everywhere."""
    report = whole_system.client.report(finished)
    with opened(chromium, url_of(whole_system)) as page:
        page.get_by_role("searchbox").fill("onerror")
        row = page.get_by_role("row").filter(has_text="onerror")
        expect(row).to_have_count(1)
        best = max(each.accuracies[report.headline] for each in report.rows)
        expect(row).to_contain_text(f"{best * 100:.1f} %")
        row.get_by_role("link", name=HOSTILE).click()
        expect(page.get_by_role("heading", name=HOSTILE)).to_be_visible()
        expect(page.get_by_text(report.result)).to_be_visible()
        cells = page.get_by_role("region", name="Means over seeds")
        expect(cells).to_contain_text(f"{report.summaries[0].natural_accuracy.mean * 100:.1f}")
        assert page.title() == f"{HOSTILE} · Gauntlet"
        assert page.locator("img[src=x]").count() == 0
        figure = page.get_by_role("img", name=re.compile("^Test accuracy, %"))
        figure.focus()
        page.keyboard.press("ArrowRight")
        first = report.curves[0].epochs[0]
        expect(page.locator("figure").filter(has=figure).locator("output")).to_contain_text(f"epoch {first}:")


def test_an_experiment_is_written_checked_and_paused(chromium: Browser, whole_system: System, finished: str) -> None:
    """A form begun with an earlier experiment: faults stand at their fields, and what is right is submitted."""
    with opened(chromium, url_of(whole_system)) as page:
        page.goto(f"/#/new?like={finished}")
        submit = page.get_by_role("button", name="Submit")
        expect(submit).to_be_enabled()
        epochs = page.get_by_role("textbox", name="Epochs")
        epochs.fill("-1")
        expect(page.get_by_text("training › epochs:")).to_be_visible()
        expect(epochs).to_have_attribute("aria-invalid", "true")
        expect(submit).to_be_disabled()
        epochs.fill("500")
        page.get_by_role("textbox", name="Name").fill("long")
        expect(page.get_by_role("region", name="YAML", exact=True)).to_contain_text("epochs: 500")
        expect(submit).to_be_enabled()
        submit.click()
        expect(page.get_by_role("heading", name="long")).to_be_visible()
        page.get_by_role("button", name="Pause", exact=True).click()
        expect(page.locator(".head .status")).to_contain_text("paused")
        page.get_by_role("button", name="Resume", exact=True).click()
        expect(page.locator(".head .status")).not_to_contain_text("paused")
        page.on("dialog", lambda dialog: dialog.accept())
        page.get_by_role("button", name="Cancel", exact=True).click()
        expect(page.locator(".head .status")).to_contain_text("cancelled")
        page.get_by_role("button", name="Delete", exact=True).click()
        expect(page.get_by_role("link", name=HOSTILE)).to_be_visible()
        expect(page.get_by_role("link", name="long", exact=True)).to_have_count(0)


def test_a_picture_is_put_under_attack(chromium: Browser, whole_system: System, finished: str) -> None:
    """A test image from the gallery, attacked at all budgets at once; the slider shows what the API found at each."""
    evaluation = next(iter(whole_system.client.evaluations(experiment=finished)))
    with opened(chromium, url_of(whole_system)) as page:
        page.goto(f"/#/attack?evaluation={evaluation.id}")
        page.get_by_label("Show").select_option("withstood")
        with page.expect_response("**/v1/classifications") as answered:
            page.locator(".gallery button").first.click()
        (found,) = answered.value.json()["data"]
        slider = page.get_by_role("slider", name="ε")
        slider.focus()
        page.keyboard.press("End")
        expect(page.locator("output[for=budget]")).to_have_text("32/255")
        last = found["attack"]["budgets"][-1]
        expect(
            page.get_by_text(f"attacked: {last['label']}, {last['probabilities'][0]['probability'] * 100:.1f} %")
        ).to_be_visible()
        page.keyboard.press("Home")
        expect(page.get_by_text("no perturbation")).to_be_visible()
        expect(page.get_by_text(f"attacked: {found['label']}, {found['probability'] * 100:.1f} %")).to_be_visible()
        assert page.evaluate(_SAME_PIXELS)
        expect(page.get_by_role("img", name=re.compile("^Probability of the right class"))).to_be_visible()
        assert barriers(page) == []


def test_a_data_set_is_uploaded_and_deleted(chromium: Browser, whole_system: System, tmp_path: Path) -> None:
    """An archive of one's own is unpacked, listed with its counts, and gone again."""
    file = tmp_path / "signs.zip"
    with zipfile.ZipFile(file, "w") as archive:
        for name, level in (("dark", 10), ("light", 200)):
            for number in range(4):
                picture = encoded(Image.new("RGB", (8, 8), (level + number,) * 3))
                archive.writestr(f"{name}/{number}.png", picture)
    with opened(chromium, url_of(whole_system)) as page:
        page.goto("/#/data")
        page.locator("input[type=file]").set_input_files(file)
        expect(page.get_by_role("textbox", name="Name")).to_have_value("signs")
        page.get_by_label("For test").select_option("0.3")
        page.get_by_role("button", name="Upload", exact=True).click()
        row = page.get_by_role("row").filter(has_text="signs")
        expect(row).to_contain_text("ready")
        expect(row.get_by_role("cell").nth(1)).to_have_text("2")
        page.once("dialog", lambda dialog: dialog.accept())
        row.get_by_role("button", name="Delete signs").click()
        expect(row).to_have_count(0)


def test_a_reader_logs_in_and_out(chromium: Browser, whole_system: System, finished: str) -> None:
    """Where tokens are wanted the page asks for one and leads on; what it got no script can read."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    database = Database(whole_system.database_url)
    key = secret_key.read_or_make(whole_system.home / "secret.key")
    with database.writing() as session:
        _, token = tokens.create(session, key, TokenRequest(owner="ada", scope="read"))
    database.close()
    whole_system.start("service", GAUNTLET_AUTH="on", GAUNTLET_PORT=str(port))
    url = f"http://127.0.0.1:{port}"
    with GauntletClient(url) as guarded:
        await_that(guarded.ready)
    with opened(chromium, url) as page:
        page.goto(f"/#/experiments/{finished}")
        field = page.get_by_label("Token", exact=True)
        field.fill("gauntlet_wrong")
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_role("alert")).to_be_visible()
        field.fill(token)
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_role("heading", name=HOSTILE)).to_be_visible()
        kept = page.evaluate("document.cookie + JSON.stringify({...localStorage, ...sessionStorage}) + location.href")
        assert "gauntlet_" not in kept
        page.goto("/#/system")
        expect(page.get_by_text("You are ada, with scope read.")).to_be_visible()
        page.get_by_role("button", name="Log out").click()
        expect(page.get_by_label("Token", exact=True)).to_be_visible()
        page.goto("/#/")
        expect(page.get_by_label("Token", exact=True)).to_be_visible()


# Whether what is shown as attacked is what is shown as natural.
_SAME_PIXELS = """() => {
    const [natural, , attacked] = document.querySelectorAll(".triptych canvas");
    const pixels = (canvas) => canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
    return pixels(natural).every((value, place) => value === pixels(attacked)[place]);
}"""


@pytest.mark.usefixtures("finished")
def test_it_goes_on_when_the_network_comes_back(chromium: Browser, whole_system: System) -> None:
    """Without an answer it says that what is seen may be old, keeps it, and looks again."""
    with opened(chromium, url_of(whole_system)) as page:
        expect(page.get_by_role("link", name=HOSTILE)).to_be_visible()
        page.context.set_offline(True)
        expect(page.get_by_text("The service does not answer")).to_be_visible()
        expect(page.get_by_role("link", name=HOSTILE)).to_be_visible()
        page.context.set_offline(False)
        expect(page.get_by_text("The service does not answer")).to_be_hidden()


def test_nobody_is_kept_out_of_any_view(chromium: Browser, whole_system: System, finished: str) -> None:
    """axe finds nothing grave on any view, wide or narrow, light or dark; none is wider than its screen.

    Whatever can be done there can be done with the keyboard, which shows where it is.
    """
    checkpoint = next(iter(whole_system.client.checkpoints())).id
    paths = paths_of_views(finished, checkpoint)
    # A view that is added is walked too.
    assert set(paths) == {file.stem for file in VIEWS.glob("*.html")}
    with opened(chromium, url_of(whole_system), reduced_motion="reduce") as page:
        for path in paths.values():
            page.goto(f"/#/{path}")
            page.wait_for_function("document.querySelector('main').children.length > 0")
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
    alone = ("attack", "leaderboard", "checkpoints", "data", "system", "new", "login")
    return {name: name for name in alone} | {
        "home": "",
        "experiment": f"experiments/{experiment}",
        "checkpoint": f"checkpoints/{checkpoint}",
        "compare": f"compare?experiment={experiment}",
    }


def width_of(page: Page) -> int:
    width: int = page.evaluate("document.documentElement.scrollWidth")
    return width

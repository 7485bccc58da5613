"""What is asked for on the page, in a real browser, with a real system behind it."""

import re
import socket
import zipfile
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, expect

from client import GauntletClient
from gauntlet.spec.tokens import TokenRequest
from store import secret_key, tokens
from store.database import Database
from tests.browser import opened
from tests.e2e.system import System, await_that
from tests.pictures import encoded
from tests.service.page.visits import HOSTILE, drop, url_of

pytestmark = pytest.mark.long


def test_an_experiment_is_written_checked_and_paused(chromium: Browser, whole_system: System, finished: str) -> None:
    """A form begun with a preset of the service's, or an earlier experiment: faults stand at their fields."""
    with opened(chromium, url_of(whole_system)) as page:
        page.goto("/#/new")
        page.get_by_label("A preset, or an earlier experiment").select_option("preset wong2020")
        expect(page.get_by_role("region", name="YAML", exact=True)).to_contain_text("fgsm_rs")
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


def test_what_has_ended_is_extended_and_its_runs_are_compared(
    chromium: Browser, whole_system: System, finished: str
) -> None:
    """More images for the report, a longer training begun, and two runs alone beside each other."""
    with opened(chromium, url_of(whole_system)) as page:
        page.goto(f"/#/experiments/{finished}")
        expect(page.get_by_text("On 16 test images, 95 %")).to_be_visible()
        page.get_by_text("Extend", exact=True).click()
        page.get_by_label("Test images").fill("24")
        page.get_by_role("button", name="Measure on more images").click()
        expect(page.get_by_text("On 24 test images, 95 %")).to_be_visible()
        page.get_by_role("link", name="Train it for 8 epochs").click()
        expect(page.get_by_role("textbox", name="Epochs")).to_have_value("8")
        page.go_back()
        page.get_by_role("link", name="Compare Cross-entropy, seed 1").click()
        expect(page.get_by_role("group", name=f"Runs of {HOSTILE}")).to_be_visible()
        page.get_by_label("Cross-entropy, seed 0, alone").check()
        expect(page.locator(".legend button")).to_have_text(
            [f"Cross-entropy, seed {seed} · {HOSTILE}" for seed in (0, 1)]
        )
        runs = {run.seed: run.id for run in whole_system.client.runs(experiment=finished)}
        assert all(page.url.count(f"run={run}") == 1 for run in runs.values())


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
        drop(page, file.name, file.read_bytes())
        expect(page.get_by_role("textbox", name="Name")).to_have_value("signs")
        page.get_by_label("For test").select_option("0.3")
        page.get_by_role("button", name="Upload", exact=True).click()
        row = page.get_by_role("row").filter(has_text="signs")
        expect(row).to_contain_text("ready")
        expect(row.get_by_role("cell").nth(1)).to_have_text("2")
        expect(row.get_by_alt_text(re.compile("^dark"))).not_to_have_count(0)
        expect(row.get_by_alt_text(re.compile("^light"))).not_to_have_count(0)
        page.wait_for_function("[...document.querySelectorAll('.thumbnails img')].every((one) => one.naturalWidth > 0)")
        row.get_by_text("Images of each class").click()
        expect(row.get_by_text("3 for training, 1 for test")).to_have_count(2)
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

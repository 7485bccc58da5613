"""What is asked for on the page, in a real browser, with a real system behind it."""

import re
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from playwright.sync_api import Browser, Route, expect
from safetensors.torch import load_file, save_file

from gauntlet.resources import TERMINAL
from tests.browser import barriers, opened
from tests.e2e.system import System, await_that
from tests.pictures import encoded
from tests.service.page.visits import HOSTILE, awaited, drop, percent, url_of

pytestmark = [pytest.mark.long(seconds=55, shares="page"), pytest.mark.thorough]


def test_an_experiment_is_written_checked_and_paused(
    chromium: Browser, whole_system: System, finished: str, tiny_document: dict[str, Any]
) -> None:
    """A form begun with a preset of the service's, or an earlier experiment: faults stand at their fields.

    Submitted twice at once it is one experiment; deleted in one tab it is gone in the other.
    What has not ended is never too old for the list.
    """
    with opened(chromium, url_of(whole_system)) as page, page.context.new_page() as beside:
        page.goto("/#/new")
        page.get_by_label("A preset, or an earlier experiment").select_option("preset wong2020")
        expect(page.get_by_role("region", name="YAML", exact=True)).to_contain_text("fgsm_rs")
        page.goto(f"/#/new?like={finished}")
        submit = page.get_by_role("button", name="Submit")
        expect(submit).to_be_enabled()
        used = "trained on 96 of 1,437 images in 10 classes; attacked on 16 of 360 test images"
        expect(page.get_by_role("status").filter(has_text=used)).to_be_visible()
        epochs = page.get_by_role("textbox", name="Epochs")
        epochs.fill("-1")
        expect(page.get_by_text("training › epochs:")).to_be_visible()
        expect(epochs).to_have_attribute("aria-invalid", "true")
        expect(submit).to_be_disabled()
        epochs.fill("500")
        page.get_by_role("textbox", name="Seeds").fill("0")
        page.get_by_role("textbox", name="Name").fill("long")
        expect(page.get_by_role("region", name="YAML", exact=True)).to_contain_text("epochs: 500")
        expect(submit).to_be_enabled()
        submit.dblclick()
        expect(page.get_by_role("heading", name="long")).to_be_visible()
        beside.goto(page.url)
        expect(beside.get_by_role("heading", name="long")).to_be_visible()
        page.get_by_role("button", name="Pause", exact=True).click()
        expect(page.locator(".head .status")).to_contain_text("paused")
        # However much is newer.
        newer = whole_system.client.submit(tiny_document)
        whole_system.client.cancel_experiment(newer.id)
        beside.route("**/v1/experiments?limit=50", lambda route: route.continue_(url=route.request.url[:-2] + "1"))
        beside.goto("/#/")
        expect(beside.get_by_text("Of the newest 1 experiment 1 was cancelled")).to_be_visible()
        expect(beside.get_by_role("link", name="long", exact=True)).to_be_visible()
        beside.go_back()
        whole_system.client.delete_experiment(newer.id)
        page.get_by_role("button", name="Resume", exact=True).click()
        expect(page.locator(".head .status")).not_to_contain_text("paused")
        page.on("dialog", lambda dialog: dialog.accept())
        page.get_by_role("button", name="Cancel", exact=True).click()
        expect(page.locator(".head .status")).to_contain_text("cancelled")
        page.get_by_role("button", name="Retry Cross-entropy, seed 0").click()
        expect(page.locator(".head .status")).not_to_contain_text("cancelled")
        page.get_by_role("button", name="Cancel", exact=True).click()
        expect(page.locator(".head .status")).to_contain_text("cancelled")
        page.get_by_role("button", name="Delete", exact=True).click()
        expect(page.get_by_role("link", name=HOSTILE)).to_be_visible()
        expect(page.get_by_role("link", name="long", exact=True)).to_have_count(0)
        expect(beside.get_by_role("heading", name="There is no such thing")).to_be_visible()


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
        # The same place without what was chosen is another one.
        page.goto("/#/compare")
        expect(page.get_by_text("Choose two experiments or more.")).to_be_visible()


def test_what_is_measured_beside_attacks_is_asked_for_in_the_form(chromium: Browser, whole_system: System) -> None:
    """Corrupted images, certificates and passes a look; an attack that follows no gradient has none of them."""
    with opened(chromium, url_of(whole_system)) as page:
        page.goto("/#/new")
        written, submit = page.get_by_role("region", name="YAML", exact=True), page.get_by_role("button", name="Submit")
        expect(submit).to_be_enabled()
        page.get_by_label("noise", exact=True).check()
        page.get_by_label("on corrupted images").check()
        page.get_by_label("Certify under noise σ").fill("0.25")
        page.get_by_label("Passes a look, of random models").fill("3")
        for line in ("corruptions: {}", "sigma: 0.25", "eot: 3"):
            expect(written).to_contain_text(line)
        expect(submit).to_be_enabled()
        page.get_by_label("on corrupted images").uncheck()
        page.get_by_label("Certify under noise σ").fill("none")
        expect(page.get_by_text("evaluation › smoothing")).to_be_visible()
        page.get_by_label("Certify under noise σ").fill("")
        page.get_by_label("Passes a look, of random models").fill("1")
        for line in ("corruptions: null", "smoothing: null"):
            expect(written).to_contain_text(line)
        expect(written).not_to_contain_text("eot")
        expect(submit).to_be_enabled()


def test_a_checkpoint_is_evaluated_and_held_against_another(
    chromium: Browser, whole_system: System, finished: str
) -> None:
    """Where it comes from, what is measured of it from its view, and that it stays where something stands on it."""
    ours, other = (
        next(iter(whole_system.client.checkpoints(run=run.id))) for run in whole_system.client.runs(experiment=finished)
    )
    with opened(chromium, url_of(whole_system)) as page:
        page.on("dialog", lambda dialog: dialog.accept())
        page.goto(f"/#/checkpoints/{ours.id}")
        expect(page.get_by_role("link", name=finished)).to_be_visible()
        page.get_by_role("combobox", name="Attack").select_option("noise")
        page.get_by_label("Budgets ε").fill("0.1")
        page.locator("form").first.get_by_label("Test images").fill("8")
        page.get_by_label("look for masked gradients").uncheck()
        page.get_by_label("Passes a look").fill("2")
        with page.expect_response("**/v1/evaluations") as asked:
            page.get_by_role("button", name="Start the evaluation").click()
        assert asked.value.request.post_data_json["attacks"] == [{"kind": "noise", "norm": "Linf", "eps": "0.1"}]
        row = page.get_by_role("row").filter(has_text="noise@")
        expect(row).to_contain_text("succeeded")
        row.get_by_role("button", name="Delete").click()
        expect(row).to_have_count(0)
        page.get_by_role("combobox", name="Other checkpoint").select_option(other.id)
        page.locator("form").nth(1).get_by_label("Test images").fill("8")
        with page.expect_response("**/v1/transfers") as asked:
            page.get_by_role("button", name="Measure the transfer").click()
        assert asked.value.status == 202
        matrix = page.get_by_role("region", name=re.compile("^Transfer,"))
        await_that(lambda: all(each.status in TERMINAL for each in whole_system.client.evaluations()))
        found = whole_system.client.transfers([ours.id, other.id], eps="8/255")
        row = matrix.get_by_role("row").filter(has_text=other.name)
        for place, cell in enumerate((found.cells[0][1], found.cells[1][0])):
            assert cell is not None
            expect(row.get_by_role("cell").nth(place)).to_contain_text(f"{percent(cell.value)} %")
        page.get_by_role("button", name="Delete", exact=True).click()
        expect(page.get_by_role("alert")).to_contain_text("stand on the checkpoint")
        page.get_by_role("link", name="Train on from it").click()
        expect(page.get_by_role("region", name="YAML", exact=True)).to_contain_text(f"initial_checkpoint: {ours.id}")


def test_a_data_set_is_uploaded_and_deleted(chromium: Browser, whole_system: System, tmp_path: Path) -> None:
    """An archive of one's own is unpacked, listed with its counts, and gone again; a long name stays in its column."""
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
        page.get_by_role("textbox", name="Name").fill("signs".ljust(80, "s"))
        page.get_by_label("Set aside for test").select_option("0.3")
        page.get_by_role("button", name="Upload", exact=True).click()
        row = page.get_by_role("row").filter(has_text="signs")
        expect(row).to_contain_text("ready")
        # Another click would send it once more.
        expect(page.get_by_role("textbox", name="Name")).to_have_value("")
        expect(page.get_by_role("button", name="Upload", exact=True)).to_be_disabled()
        assert row.get_by_role("rowheader").evaluate("(cell) => cell.scrollWidth <= cell.clientWidth")
        expect(row.get_by_role("cell").nth(1)).to_have_text("2")
        expect(row.get_by_alt_text(re.compile("^dark"))).not_to_have_count(0)
        expect(row.get_by_alt_text(re.compile("^light"))).not_to_have_count(0)
        for thumbnail in row.get_by_role("img").all():
            expect(thumbnail).not_to_have_js_property("naturalWidth", 0)
        row.get_by_text("Images of each class").click()
        expect(row.get_by_text("3 for training, 1 for test")).to_have_count(2)
        page.once("dialog", lambda dialog: dialog.accept())
        row.get_by_role("button", name=re.compile("^Delete signs")).click()
        expect(row).to_have_count(0)


def test_weights_are_imported_and_gone_on_with(
    chromium: Browser, whole_system: System, finished: str, tmp_path: Path
) -> None:
    """A network from elsewhere: refused beside the field that is wrong, told what became of its tensors, then used.

    A file of some Gauntlet's says itself what it is.
    """
    trained = next(iter(whole_system.client.checkpoints(run=next(iter(whole_system.client.runs(finished))).id)))
    ours, theirs, pickled = (tmp_path / name for name in ("ours.safetensors", "theirs.safetensors", "theirs.pt"))
    ours.write_bytes(whole_system.client.weights(trained.id))
    tensors = {f"module.{name}": tensor for name, tensor in load_file(ours).items()}
    save_file(tensors | {f"module.attacker.{place}": torch.zeros(1) for place in range(3)}, theirs)
    torch.save(tensors, pickled)
    with opened(chromium, url_of(whole_system)) as page:
        page.goto("/#/checkpoints")
        page.get_by_role("link", name="Import a checkpoint").click()
        file, submit = page.get_by_label("Choose a file"), page.get_by_role("button", name="Import", exact=True)
        network, name = page.get_by_role("combobox", name="Kind"), page.get_by_role("textbox", name="Name", exact=True)
        expect(page.get_by_text("The network's 10 outputs stand for 0, 1, 2")).to_be_visible()
        file.set_input_files(pickled)
        expect(page.get_by_text("theirs.pt is no safetensors file.")).to_be_visible()
        expect(submit).to_be_disabled()
        network.select_option("vit")
        file.set_input_files(ours)
        expect(page.get_by_text("What it is of stands in it")).to_be_visible()
        expect(network).to_have_value(trained.card.architecture.kind)
        file.set_input_files(theirs)
        expect(page.get_by_text(f"{len(tensors) + 3} tensors")).to_be_visible()
        expect(name).to_have_value("theirs")
        page.get_by_label("Normalised").select_option("imagenet")
        submit.click()
        mean = page.get_by_label("Mean of each channel")
        expect(mean).to_be_focused()
        expect(mean).to_have_accessible_error_message(re.compile("one mean and one std for each channel"))
        page.get_by_label("Normalised").select_option("")
        submit.click()
        done = page.get_by_role("region", name="“theirs” is imported")
        expect(done).to_be_focused()
        done.get_by_text(f"{len(tensors)} tensors got other names").click()
        first = next(iter(tensors))
        expect(done.get_by_text(first, exact=True)).to_be_visible()
        done.get_by_text("3 tensors left out: a second copy of the network").click()
        expect(done.get_by_text("module.attacker.2")).to_be_visible()
        assert barriers(page) == []
        # Another click would import it once more.
        expect(submit).to_be_disabled()
        done.get_by_role("link", name="Evaluate it").click()
        expect(page.get_by_role("combobox", name="Attack")).to_be_focused()
        page.get_by_role("link", name="Put it under attack").click()
        with page.expect_response("**/v1/classifications") as answered:
            drop(page, "mine.png", encoded(Image.new("L", (16, 16), 90)))
        assert [each["checkpoint"] for each in answered.value.json()["data"]] == [page.url.rpartition("=")[2]]
        page.go_back()
        page.once("dialog", lambda dialog: dialog.accept())
        page.get_by_role("button", name="Delete", exact=True).click()
        expect(page.get_by_role("link", name="Import a checkpoint")).to_be_visible()
        expect(page.get_by_role("link", name="theirs", exact=True)).to_have_count(0)


def test_a_webhook_is_made_and_its_deliveries_are_read(
    chromium: Browser, whole_system: System, tiny_document: dict[str, Any]
) -> None:
    """Its secret is shown once; what becomes of an experiment's end on the way there is told, and it goes again.

    Another's deliveries are its own, whichever answer comes last.
    """
    held: list[Route] = []
    url = "http://127.0.0.1:9/hook"
    with opened(chromium, url_of(whole_system)) as page:
        page.on("dialog", lambda dialog: dialog.accept())
        page.goto("/#/system")
        page.get_by_label("URL").fill(url)
        page.get_by_label("alarms").uncheck()
        page.get_by_role("button", name="Add a webhook").click()
        expect(page.get_by_text(f"{url} is told of ended experiments from now on.")).to_be_visible()
        expect(page.get_by_label("The webhook's secret")).to_have_value(re.compile("^whsec_"))
        page.get_by_role("button", name="Hide it").click()
        assert page.get_by_label("The webhook's secret").input_value() == ""
        row = page.get_by_role("region", name="Webhooks").get_by_role("row").filter(has_text=url)
        row.get_by_role("button", name="Deliveries").click()
        expect(row).to_contain_text("Nothing has happened yet")
        made = whole_system.client.submit(tiny_document)
        whole_system.client.cancel_experiment(made.id)
        expect(row).to_contain_text(re.compile(r"ended experiments: to be tried again.* 127\.0\.0\.1"))
        row.get_by_role("button", name="Deliveries").click()
        expect(row).not_to_contain_text("ended experiments: ")
        page.get_by_label("URL").fill(f"{url}/of/alarms")
        page.get_by_label("ended experiments").uncheck()
        page.get_by_role("button", name="Add a webhook").click()
        other = page.get_by_role("region", name="Webhooks").get_by_role("row").filter(has_text=f"{url}/of/alarms")
        row = page.get_by_role("region", name="Webhooks").get_by_role("row").filter(has_not_text="/of/alarms").last
        page.route("**/deliveries?*", lambda route: held.append(route), times=1)  # noqa: PLW0108  # it takes no method of a list
        row.get_by_role("button", name="Deliveries").click()
        late = awaited(page, held)
        other.get_by_role("button", name="Deliveries").click()
        expect(other).to_contain_text("Nothing has happened yet")
        # Nobody waits for it any more, so it takes nothing back.
        assert late.request.failure == "net::ERR_ABORTED"
        for each in (other, row):
            each.get_by_role("button", name="Delete").click()
            expect(each).to_have_count(0)
    whole_system.client.delete_experiment(made.id)

"""Forms and views whose answer is slow, or is not the service's: what is done meanwhile counts, and counts once."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.browser import opened
from tests.e2e.system import System, await_that
from tests.packing import class_folders, write_zip
from tests.service.page.visits import awaited, drop, url_of

pytestmark = [pytest.mark.long(seconds=20, shares="page"), pytest.mark.thorough]

_DATASETS = r"/v1/datasets\?"
_PICKLED = {"name": "pickled.pt", "mimeType": "", "buffer": b"PK\x03\x04 and more than eight bytes"}
# What of all that is due now comes after the rest.
_LAST = "new Promise((done) => setTimeout(done))"


def weights(name: str, card: str | None = None) -> dict[str, Any]:
    """A safetensors file without a tensor, as a chooser takes it, with what stands in its header as a card."""
    header = json.dumps({} if card is None else {"__metadata__": {"gauntlet": card}}).encode()
    return {"name": name, "mimeType": "", "buffer": len(header).to_bytes(8, "little") + header}


def hold(page: Page, path: str, method: str = "POST") -> list[Route]:
    """Where requests to it are kept from now on, until they are let go."""
    held: list[Route] = []
    page.route(
        re.compile(path), lambda route: held.append(route) if route.request.method == method else route.continue_()
    )
    return held


def test_a_file_that_is_chosen_while_another_is_sent_is_there_after_it(
    chromium: Browser, whole_system: System, tmp_path: Path
) -> None:
    """It is not sent beside that one, and stays as it was told; whose focus a button was keeps it after a refusal."""
    archive = write_zip(tmp_path / "first.zip", class_folders(["cat", "dog"], 2)).read_bytes()
    with opened(chromium, url_of(whole_system)) as page:
        held, listed = hold(page, "/v1/(datasets|checkpoints)$"), hold(page, _DATASETS, "GET")
        page.goto("/#/data")
        name, upload = page.get_by_role("textbox", name="Name"), page.get_by_role("button", name="Upload", exact=True)
        drop(page, "first.zip", archive)
        page.get_by_label("Set aside for test").select_option("0.3")
        upload.press("Enter")
        first = awaited(page, held)
        # The view is there at last, and the frame takes the focus that nothing has.
        awaited(page, listed).continue_()
        expect(page.get_by_role("main")).to_be_focused()
        page.unroute(re.compile(_DATASETS))
        first.abort()
        expect(page.get_by_role("alert")).to_contain_text("does not answer")
        expect(upload).to_be_focused()
        upload.press("Enter")
        first = awaited(page, held)
        drop(page, "second.zip", archive)
        expect(upload).to_be_disabled()
        first.continue_()
        row = page.get_by_role("row").filter(has_text="first")
        expect(row).to_contain_text("ready")
        expect(upload).to_be_focused()
        expect(page.get_by_text(re.compile("^second.zip"))).to_be_visible()
        expect(name).to_have_value("second")
        page.once("dialog", lambda dialog: dialog.accept())
        row.get_by_role("button", name="Delete first").click()
        expect(row).to_have_count(0)
        page.goto("/#/import")
        file, submit = page.get_by_label("Choose a file"), page.get_by_role("button", name="Import", exact=True)
        expect(page.get_by_text("The network's 10 outputs stand for 0, 1, 2")).to_be_visible()
        file.set_input_files(weights("mine.safetensors"))
        submit.click()
        first = awaited(page, held)
        file.set_input_files(weights("other.safetensors"))
        expect(page.get_by_text(re.compile("^other.safetensors, .* 0 tensors"))).to_be_visible()
        expect(submit).to_be_disabled()
        first.abort()
        expect(submit).to_be_enabled()
        submit.click()
        first = awaited(page, held)
        file.set_input_files(_PICKLED)
        refused = page.get_by_text("pickled.pt is no safetensors file")
        expect(refused).to_be_visible()
        first.continue_()
        expect(page.get_by_role("alert")).to_be_visible()
        expect(page.get_by_text("Leaving this view ends the upload")).to_be_hidden()
        expect(refused).to_be_visible()
        expect(submit).to_be_disabled()


def test_what_a_file_says_of_itself_is_taken_where_it_is_a_card(chromium: Browser, whole_system: System) -> None:
    """Anyone may have written it: what has another shape fills in nothing, and the file is one for all that."""
    network = {"kind": "cnn"}
    foreign = [
        *("no JSON", "null", "7", '{"architecture": "cnn"}'),
        *(
            json.dumps({"architecture": network, "normalisation": each})
            for each in ({}, "x", {"mean": "x", "std": [1]}, {"mean": [0.5], "std": [{}]})
        ),
    ]
    with opened(chromium, url_of(whole_system)) as page:
        page.goto("/#/import")
        file, submit = page.get_by_label("Choose a file"), page.get_by_role("button", name="Import", exact=True)
        kind = page.get_by_role("combobox", name="Kind")
        expect(page.get_by_text("The network's 10 outputs stand for 0, 1, 2")).to_be_visible()
        kind.select_option("vit")
        for place, card in enumerate(foreign):
            file.set_input_files(weights(f"{place}.safetensors", card))
            expect(page.get_by_text(re.compile(rf"^{place}\.safetensors, .* 0 tensors$"))).to_be_visible()
            expect(submit).to_be_enabled()
            expect(kind).to_have_value("vit")
        hidden = {"architecture": network | {"activation": {"toString": 1}}, "dataset": {"name": []}}
        file.set_input_files(weights("ours.safetensors", json.dumps(hidden)))
        expect(page.get_by_text("What it is of stands in it")).to_be_visible()
        expect(kind).to_have_value("cnn")
        long = (len(_LONG)).to_bytes(8, "little") + _LONG
        file.set_input_files({"name": "long.safetensors", "mimeType": "", "buffer": long})
        expect(page.get_by_text("has a header of more than the 4 MiB that are read")).to_be_visible()
        expect(submit).to_be_disabled()


_LONG = b"{}".ljust((4 << 20) + 1)


def test_who_has_gone_on_is_not_led_back_and_asks_for_nothing_twice(chromium: Browser, whole_system: System) -> None:
    """What is changed while an experiment is submitted is no second one, until that is there."""
    with opened(chromium, url_of(whole_system)) as page:
        held = hold(page, "/v1/experiments$")
        page.goto("/#/new")
        submit = page.get_by_role("button", name="Submit")
        expect(submit).to_be_enabled()
        submit.click()
        asked = awaited(page, held)
        with page.expect_response("**/v1/experiments/validate"):
            page.get_by_role("textbox", name="Name").fill("another")
        expect(page.get_by_role("status").filter(has_text="runs;")).to_be_visible()
        page.evaluate(_LAST)
        expect(submit).to_be_disabled()
        page.goto("/#/leaderboard")
        asked.fulfill(status=202, json={"id": "exp_1"})
        expect(page.locator("#announcement")).to_have_text("The experiment is queued.")
        page.evaluate(_LAST)
        assert page.url.endswith("/#/leaderboard")


def test_a_proxy_that_answers_in_the_place_of_the_service_is_told(chromium: Browser, whole_system: System) -> None:
    """With a page of its own, and that all is well: a button says so, and takes another click.

    What is sent before it is known who sends it is sent once, too.
    """
    url = "http://127.0.0.1:9/proxied"
    with opened(chromium, url_of(whole_system)) as page:
        page.on("dialog", lambda dialog: dialog.accept())
        held = hold(page, "/v1/session$", "GET")
        page.goto("/#/system")
        asked = awaited(page, held)
        page.get_by_label("URL").fill(url)
        with page.expect_response("**/v1/webhooks"):
            page.get_by_role("button", name="Add a webhook").click()
        asked.continue_()
        row = page.get_by_role("region", name="Webhooks").get_by_role("row").filter(has_text=url)
        delete = row.get_by_role("button", name="Delete")
        page.route(
            "**/v1/webhooks/*", lambda route: route.fulfill(content_type="text/html", body="<p>Welcome"), times=1
        )
        delete.click()
        expect(page.get_by_role("alert")).to_contain_text("The service does not answer")
        delete.click()
        expect(row).to_have_count(0)


def test_a_late_answer_takes_nothing_back(
    chromium: Browser, whole_system: System, tiny_document: dict[str, Any]
) -> None:
    """What a reader has done is seen in the answer to a later question, and stays when an earlier one is answered."""
    long = tiny_document["training"] | {"epochs": 10_000}
    made = whole_system.client.submit(tiny_document | {"name": "slow", "training": long})
    # So that it is cancelled as soon as that is asked for.
    whole_system.client.pause_experiment(made.id)
    await_that(lambda: whole_system.client.experiment(made.id).status == "paused")
    url = "http://127.0.0.1:9/late"
    with opened(chromium, url_of(whole_system)) as page:
        page.on("dialog", lambda dialog: dialog.accept())
        held = hold(page, r"/v1/webhooks\?", "GET")
        page.goto("/#/system")
        before = awaited(page, held)
        page.get_by_label("URL").fill(url)
        page.get_by_role("button", name="Add a webhook").click()
        awaited(page, held).continue_()
        row = page.get_by_role("row").filter(has_text=url)
        expect(row).to_be_visible()
        come_late(page, before, {"object": "list", "data": [], "has_more": False, "next": None})
        assert row.count() == 1
        page.unroute_all()
        row.get_by_role("button", name="Delete").click()
        expect(row).to_have_count(0)

        page.goto(f"/#/experiments/{made.id}")
        cancel = page.get_by_role("button", name="Cancel", exact=True)
        expect(cancel).to_be_visible()
        running = whole_system.client.experiment(made.id).model_dump(mode="json")
        held = hold(page, f"/v1/experiments/{made.id}$", "GET")
        page.evaluate("window.dispatchEvent(new Event('online'))")
        before = awaited(page, held)
        cancel.click()
        awaited(page, held).continue_()
        expect(page.locator(".head .status")).to_have_text("cancelled")
        come_late(page, before, running)
        assert page.locator(".head .status").text_content() == "cancelled"
        page.unroute_all()

        held = hold(page, f"/v1/experiments/{made.id}/series", "GET")
        every = page.get_by_label("All metrics")
        every.check()
        before = awaited(page, held)
        every.uncheck()
        awaited(page, held).fulfill(json={"object": "series", "experiment": made.id, "metrics": [], "runs": []})
        series = {"object": "series", "experiment": made.id, "metrics": ["test_accuracy"], "runs": []}
        come_late(page, before, series)
        assert "Rings mark" not in page.locator("main").inner_text()
    whole_system.client.delete_experiment(made.id)


def test_an_objective_is_called_by_its_kind_or_as_its_user_has_called_it(
    chromium: Browser, whole_system: System, tiny_document: dict[str, Any]
) -> None:
    """A name that reads as a word of the API, of another objective or of anything, is not taken for that."""
    objectives = [{"kind": "cross_entropy", "label": name} for name in ("TRADES", "cnn")] + [{"kind": "trades"}]
    made = whole_system.client.submit(tiny_document | {"name": "called", "objectives": objectives})
    whole_system.client.cancel_experiment(made.id)
    called = ["TRADES (cross-entropy)", "cnn", "TRADES"]
    with opened(chromium, url_of(whole_system)) as page:
        page.goto("/#/")
        row = page.get_by_role("row").filter(has=page.get_by_role("link", name="called"))
        expect(row).to_contain_text(", ".join(called))
        page.goto(f"/#/experiments/{made.id}")
        expect(page.get_by_text(f"3 objectives ({', '.join(called)})")).to_be_visible()
        runs = page.get_by_role("row").filter(has_text="cancelled")
        expect(runs.filter(has_text=called[0])).to_have_count(1)
        expect(runs.filter(has_text="Cnn")).to_have_count(1)
    whole_system.client.delete_experiment(made.id)


def come_late(page: Page, route: Route, answer: dict[str, Any]) -> None:
    """Answer what was asked for long ago, unless nobody waits for it; the page has taken the answer in then."""
    if route.request.failure is None:
        route.fulfill(json=answer)
    page.wait_for_timeout(300)


def test_what_is_gone_leaves_the_others_to_be_compared(
    chromium: Browser, whole_system: System, tiny_document: dict[str, Any]
) -> None:
    """Deleted in another tab, or before: it is said, and the address is that of what is left."""
    made = [whole_system.client.submit(tiny_document | {"name": name}) for name in ("kept", "lost")]
    for each in made:
        whole_system.client.cancel_experiment(each.id)
    kept, lost = (each.id for each in made)
    with opened(chromium, url_of(whole_system)) as page:
        columns = page.get_by_role("region", name="What differs").get_by_role("columnheader")
        for how in ("while it is compared", "before"):
            page.goto(f"/#/compare?experiment={kept}&experiment={lost}")
            if how == "before":
                expect(page.get_by_role("alert")).to_have_text(f"{lost}: this is gone, and no longer compared.")
            else:
                expect(columns).to_have_text(["Field", "kept", "lost"])
                whole_system.client.delete_experiment(lost)
                expect(page.get_by_role("alert")).to_have_text("lost: this is gone, and no longer compared.")
            expect(columns).to_have_text(["Field", "kept"])
            assert page.url.endswith(f"/#/compare?experiment={kept}")
            page.goto("/#/")
    whole_system.client.delete_experiment(kept)

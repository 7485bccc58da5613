"""Many pictures in a request, and many requests at once."""

import asyncio
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi.testclient import TestClient
from PIL import Image
from sqlalchemy import select, update

from service.aside.processes import Aside
from service.pictures import classification
from service.routes import classifications
from service.settings import ServiceSettings
from store.database import Database
from store.models import Checkpoint
from tests.e2e.system import await_that
from tests.pictures import encoded
from tests.service.classifications.asking import post, probabilities


def test_waiting_pictures_leave_threads_for_others(api: TestClient, checkpoints: list[str], digit: Image.Image) -> None:
    """A few requests wait for the one before them, the next is told to come again, and other routes answer."""
    gate = classifications.CLASSIFICATIONS

    def send(_: int = 0) -> Any:
        return post(api, checkpoints[:1], encoded(digit))

    assert send().status_code == 200
    decoder = api.app.state.decoder.process._process.pid
    with ThreadPoolExecutor() as senders:
        os.kill(decoder, signal.SIGSTOP)
        try:
            waiting = senders.map(send, range(gate._places._initial_value))
            await_that(lambda: gate._places._value == 0)
            refused = send()
            assert (refused.status_code, refused.headers["Retry-After"]) == (429, "2")
            assert refused.json()["type"] == "urn:gauntlet:problem:busy"
            assert api.get("/healthz").status_code == 200
        finally:
            os.kill(decoder, signal.SIGCONT)
        assert [answer.status_code for answer in waiting] == [200] * 4
    assert send().status_code == 200


def test_a_client_that_leaves_makes_room(api: TestClient, checkpoints: list[str], digit: Image.Image) -> None:
    """The picture that it waited for is not decoded any further, and its turn is the next one's."""
    assert post(api, checkpoints[:1], encoded(digit)).status_code == 200
    decoder = api.app.state.decoder
    process = decoder.process._process.pid
    form = httpx2.Request(
        "POST",
        "http://testserver/v1/classifications",
        files=[("image", ("picture.png", encoded(digit)))],
        data={"checkpoint": checkpoints[:1]},
    )

    async def leave() -> None:
        gone = asyncio.Event()
        messages = [{"type": "http.request", "body": form.read(), "more_body": False}]

        async def receive() -> dict[str, Any]:
            if messages:
                return messages.pop()
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(_: Any) -> None:
            pass

        headers = [(name.lower(), value) for name, value in form.headers.raw]
        scope = {"type": "http", "method": "POST", "path": form.url.path, "query_string": b"", "headers": headers}
        asking = asyncio.ensure_future(api.app(scope | {"root_path": ""}, receive, send))
        await asyncio.to_thread(await_that, lambda: decoder.process._process.stdout._waiter is not None)
        gone.set()
        await asking

    os.kill(process, signal.SIGSTOP)
    api.portal.call(leave)
    assert not Path(f"/proc/{process}").exists()
    assert post(api, checkpoints[:1], encoded(digit)).status_code == 200


def test_a_batch_is_one_order_to_each_process(
    api: TestClient, checkpoints: list[str], digit: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sixty-four pictures are decoded together and classified in one pass, each as it is by itself."""
    pictures = [encoded(digit.rotate(5 * number)) for number in range(64)]
    alone = [probabilities(post(api, checkpoints[:1], pictures[number])) for number in (0, 9, 63)]
    asked: list[int] = []
    ask = Aside.ask

    def counted(process: Aside, order: Any, **how: Any) -> Any:
        asked.append(len(how["behind"]))
        return ask(process, order, **how)

    monkeypatch.setattr(Aside, "ask", counted)
    answer = post(api, checkpoints[:1], *pictures)
    assert answer.status_code == 200, answer.text
    assert asked == [64, 1]
    seen = [{each["label"]: each["probability"] for each in item["probabilities"]} for item in answer.json()["data"]]
    assert len(seen) == 64
    assert [seen[number] for number in (0, 9, 63)] == [pytest.approx(one, abs=1e-6) for one in alone]
    assert post(api, checkpoints[:1], *pictures, pictures[0]).status_code == 422


def test_checkpoints_are_looked_up_once_until_something_is_written(
    api: TestClient,
    checkpoints: list[str],
    digit: Image.Image,
    settings: ServiceSettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By whatever process; those of other requests are others. After a second their files are looked for again."""
    # However busy the machine is.
    monkeypatch.setattr(classification, "_KNOWN_FOR_S", 600.0)
    looks: list[Any] = []
    look = classifications._named
    monkeypatch.setattr(classifications, "_named", lambda *asked: looks.append(asked[2]) or look(*asked))
    content = encoded(digit)
    other = Database(settings.database_url)
    for _ in range(2):
        with other.writing() as session:
            session.execute(update(Checkpoint).where(Checkpoint.id == checkpoints[0]).values(notes="seen"))
            found = session.scalars(select(Checkpoint.path).where(Checkpoint.id == checkpoints[0])).one()
        for named in (checkpoints[:1], checkpoints[:1], checkpoints, checkpoints):
            assert post(api, named, content).status_code == 200
    other.close()
    assert looks == [checkpoints[:1], checkpoints] * 2
    # What bounds a request is asked of each.
    monkeypatch.setattr(classifications, "_MOST_VALUES", 1)
    assert post(api, checkpoints, content).status_code == 422
    monkeypatch.undo()
    monkeypatch.setattr(classification, "_KNOWN_FOR_S", 0.0)
    path = settings.storage.root / found
    path.rename(path.with_suffix(".away"))
    try:
        assert post(api, checkpoints, content).status_code == 409
    finally:
        path.with_suffix(".away").rename(path)


def test_one_bad_picture_among_many_is_named(api: TestClient, checkpoints: list[str], digit: Image.Image) -> None:
    """Whether it is in no format or broken, the pointer leads to it."""
    good = encoded(digit)
    for bad, status in ((b"no picture", 415), (good[:-30], 422)):
        answer = post(api, checkpoints[:1], *[good] * 20, bad, good)
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (status, "/image/20"), answer.text

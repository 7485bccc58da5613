"""The service's routes that are answered past the framework: as it would answer them, in every respect but the time."""

import io
import json
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, cast

import httpx2
import pytest
from fastapi import FastAPI
from fastapi.dependencies.utils import solve_dependencies
from fastapi.testclient import TestClient
from PIL import Image
from sqlalchemy import text

import service.app
from service.pictures.classification import KnownWeights
from service.requests import bodies
from service.routes.classifications import CLASSIFICATIONS
from service.settings import ServiceSettings
from tests.service.requests.test_bodies import Body
from tests.service.requests.test_forms import part

PATH = "/v1/classifications"
_WRITTEN = io.BytesIO()
Image.new("RGB", (8, 8)).save(_WRITTEN, "PNG")
PICTURE = part("image", _WRITTEN.getvalue(), b"Content-Type: image/png", more=b'; filename="a.png"')
NOBODYS = part("checkpoint", b"ckpt_nobodys")
END = b"--b--\r\n"
FORM = {"Content-Type": "multipart/form-data; boundary=b"}
# Of the moment, and of the request.
_OWN_HEADERS = ("date", "x-request-id")


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory, trained: tuple[Path, str], broker_url: str) -> ServiceSettings:
    """Of one service with a trained run for all tests of this module, which only read."""
    home = tmp_path_factory.mktemp("service")
    shutil.copytree(trained[0], home, dirs_exist_ok=True)
    return ServiceSettings(
        home=home,
        broker_url=broker_url,
        allowed_hosts=("testserver",),
        max_json_bytes=20_000,
        max_upload_bytes=200_000,
    )


@pytest.fixture(scope="module")
def both(settings: ServiceSettings) -> Iterator[tuple[TestClient, TestClient]]:
    """The service, and one that answers everything by the framework."""
    with ExitStack() as ended, pytest.MonkeyPatch.context() as monkeypatch:
        ours = ended.enter_context(TestClient(service.app.create_app(settings), raise_server_exceptions=False))
        monkeypatch.setattr(service.app, "directly", lambda *_: {})
        theirs = ended.enter_context(TestClient(service.app.create_app(settings), raise_server_exceptions=False))
        yield ours, theirs


@pytest.fixture(scope="module")
def known(both: tuple[TestClient, TestClient], trained: tuple[Path, str]) -> bytes:
    """The fields that name its two checkpoints."""
    rows = both[0].get("/v1/checkpoints", params={"run": trained[1]}).json()["data"]
    return b"".join(part("checkpoint", row["id"].encode()) for row in rows)


def ask(client: TestClient, content: bytes) -> httpx2.Response:
    return client.post(PATH, content=content, headers=FORM)


def require_the_same(answers: list[httpx2.Response], status: int) -> None:
    """Of the same status, with the same words and headers, in the same order."""
    assert [answer.status_code for answer in answers] == [status, status]
    told = [answer.json() | {"request_id": ""} for answer in answers]
    assert told[0] == told[1]
    headers = [[each for each in answer.headers.multi_items() if each[0] not in _OWN_HEADERS] for answer in answers]
    assert headers[0] == headers[1]
    assert len(headers[0]) < len(answers[0].headers.multi_items())


def state_of(client: TestClient) -> Any:
    return cast("FastAPI", client.app).state


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ({"content": PICTURE + NOBODYS + END}, 404),
        ({"content": PICTURE + END}, 422),
        ({"content": NOBODYS + END}, 422),
        ({"content": END}, 422),
        ({"content": PICTURE + part("checkpoint", b"") + END}, 404),
        ({"content": PICTURE + NOBODYS * 2 + END}, 422),
        ({"content": PICTURE + NOBODYS * 9 + END}, 422),
        ({"content": part("image", b"x") + NOBODYS + END}, 422),
        ({"content": part("image", b"", more=b'; filename=""') + NOBODYS + END}, 422),
        ({"content": PICTURE + NOBODYS + part("attack", b"") + END}, 404),
        ({"content": PICTURE + NOBODYS + part("attack", b"{}") + END}, 422),
        ({"content": PICTURE + NOBODYS + part("colour", b"blue") + END}, 422),
        ({"content": PICTURE + NOBODYS}, 422),
        ({"content": PICTURE + NOBODYS + part("attack", b" " * 20_001) + END}, 413),
        ({"content": part("image", bytes(200_000), more=b'; filename="a.png"') + NOBODYS + END}, 413),
        ({"content": b"{}", "headers": {"Content-Type": "application/json"}}, 415),
        ({"content": b"checkpoint=a", "headers": {"Content-Type": "application/x-www-form-urlencoded"}}, 422),
        ({"content": PICTURE + END, "headers": FORM | {"Content-Encoding": "gzip"}}, 415),
        ({"content": PICTURE + END, "headers": FORM | {"If-Match": "a"}}, 422),
        ({"content": PICTURE + END, "params": {"colour": "blue"}}, 422),
        ({"method": "GET"}, 405),
        ({"method": "PUT", "content": PICTURE + END}, 405),
        ({"url": f"{PATH}/", "content": PICTURE + END}, 404),
    ],
)
def test_the_framework_would_refuse_the_same(
    both: tuple[TestClient, TestClient], request_: dict[str, Any], status: int
) -> None:
    """Each with its words and its pointers."""
    asked = {"method": "POST", "url": PATH, "headers": FORM} | request_
    require_the_same([client.request(**asked) for client in both], status)


@pytest.mark.parametrize("attack", [None, {"kind": "fgsm", "eps": ["0", "8/255"]}])
@pytest.mark.parametrize("pictures", [1, 3])
def test_the_framework_would_classify_the_same(
    both: tuple[TestClient, TestClient], known: bytes, pictures: int, attack: Any
) -> None:
    """Each picture by both checkpoints, to the last digit; the second time from what is known of them."""
    plan = part("attack", json.dumps(attack).encode()) if attack else b""
    for _ in range(2):
        answers = [ask(client, PICTURE * pictures + known + plan + END) for client in both]
        require_the_same(answers, 200)
        found = answers[0].json()["data"]
        assert len(found) == 2 * pictures
        assert all((each["attack"] is None) == (attack is None) for each in found)


def test_a_full_service_says_the_same(both: tuple[TestClient, TestClient], known: bytes) -> None:
    """While others hold all places."""
    with ExitStack() as held:
        for _ in range(CLASSIFICATIONS._places._initial_value):  # type: ignore[attr-defined]  # of the standard library
            held.enter_context(CLASSIFICATIONS.admit())
        require_the_same([ask(client, PICTURE + known + END) for client in both], 429)


def test_a_database_without_a_connection_says_the_same(
    both: tuple[TestClient, TestClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a checkpoint that is not known yet."""
    answers = []
    for client in both:
        database = state_of(client).database
        monkeypatch.setattr(database._engine.pool, "_timeout", 0.1)
        with ExitStack() as held:
            for _ in range(service.app.CONNECTIONS):
                held.enter_context(database.reading()).execute(text("SELECT 1"))
            answers.append(ask(client, PICTURE + NOBODYS + END))
    require_the_same(answers, 429)


def test_a_decoder_that_hangs_is_told_the_same(
    both: tuple[TestClient, TestClient], known: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the next picture has a new one."""
    answers = []
    for client in both:
        assert ask(client, PICTURE + known + END).status_code == 200
        process = state_of(client).decoder.process
        with monkeypatch.context() as hasty:
            hasty.setattr(process, "patience_s", 0.1)
            os.kill(process._process.pid, signal.SIGSTOP)
            answers.append(ask(client, PICTURE + known + END))
    require_the_same(answers, 503)
    require_the_same([ask(client, PICTURE + known + END) for client in both], 200)


def test_an_error_of_ours_is_told_the_same(
    both: tuple[TestClient, TestClient], known: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And says nothing of what it was."""
    monkeypatch.setattr(KnownWeights, "changes", None)
    require_the_same([ask(client, PICTURE + known + END) for client in both], 500)


def test_a_body_that_does_not_arrive_is_told_the_same(
    both: tuple[TestClient, TestClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the same patience."""
    monkeypatch.setattr(bodies, "_PATIENCE_S", 0.01)
    answers = []
    for client in both:
        sent: list[Any] = []
        assert client.portal is not None
        client.portal.call(partial(_send_nothing, client.app, sent))
        headers = sent[0]["headers"]
        answers.append(httpx2.Response(sent[0]["status"], headers=headers, content=sent[1]["body"]))
    require_the_same(answers, 408)


async def _send_nothing(app: Any, sent: list[Any]) -> None:
    async def send(message: Any) -> None:
        sent.append(message)

    headers = [
        (b"host", b"testserver"),
        (b"transfer-encoding", b"chunked"),
        (b"content-type", FORM["Content-Type"].encode()),
    ]
    scope = {"type": "http", "method": "POST", "scheme": "http", "path": PATH, "raw_path": PATH.encode()}
    scope |= {"headers": headers, "root_path": "", "query_string": b"", "http_version": "1.1"}
    scope |= {"client": ("127.0.0.1", 1), "server": ("testserver", 80)}
    await app(scope, Body(b"", then_waits=True).receive, send)


def test_it_is_not_asked(both: tuple[TestClient, TestClient], known: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or nothing would be spared."""
    solved: list[Any] = []
    solve = solve_dependencies

    def counted(**how: Any) -> Any:
        solved.append(how)
        return solve(**how)

    monkeypatch.setattr("fastapi.routing.solve_dependencies", counted)
    for client, times in zip(both, (0, 1), strict=True):
        for checkpoint, status in ((NOBODYS, 404), (known, 200)):
            solved.clear()
            assert ask(client, PICTURE + checkpoint + END).status_code == status
            assert len(solved) == times


def test_answers_are_counted_by_their_route(both: tuple[TestClient, TestClient]) -> None:
    """In the figures for Prometheus, as all are."""
    for client in both:
        ask(client, PICTURE + NOBODYS + END)
        assert f'method="POST",route="{PATH}",status="404"' in client.get("/metrics").text

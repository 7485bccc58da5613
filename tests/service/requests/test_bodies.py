"""A body is read as what its route declares, bounded in what it may cost, and not before there is room for it."""

import asyncio
import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.testclient import TestClient
from pydantic import BaseModel, field_serializer, field_validator

from service.app import create_app
from service.requests import bodies
from service.requests.routing import Route
from service.routes.checkpoints import IMPORTS
from service.routes.classifications import CLASSIFICATIONS
from service.settings import ServiceSettings
from service.transport.admission import Gate
from tests.service.requests.test_forms import part
from tests.service.requests.test_parameters import faults
from tests.service.serving import serving

JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ('{"preset": "quickstart", "seeds": [1], "seeds": [0]}', "/seeds"),
        ('{"preset": "quickstart", "training": {"epochs": 1, "batch_size": 8, "epochs": 3}}', "/training/epochs"),
        ('{"preset": "quickstart", "objectives": [{"kind": "ppo", "kind": "ppo"}]}', "/objectives/0/kind"),
    ],
)
def test_a_key_given_twice_is_refused(api: TestClient, body: str, pointer: str) -> None:
    """At any depth, though its values be equal."""
    assert faults(api.post("/v1/experiments", content=body, headers=JSON)) == {pointer: "The field is given twice."}
    assert api.get("/v1/experiments").json()["data"] == []


@pytest.mark.parametrize(
    ("change", "pointer"),
    [({"seeds": [False]}, "/seeds/0"), ({"training": {"epochs": "1"}}, "/training/epochs")],
)
def test_nothing_is_taken_for_what_it_is_not(api: TestClient, change: dict[str, Any], pointer: str) -> None:
    """As `gauntlet.spec` says, through the framework too."""
    assert list(faults(api.post("/v1/experiments", json={"preset": "quickstart"} | change))) == [pointer]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "latin-1"])
def test_json_is_utf8(api: TestClient, tiny_document: dict[str, Any], encoding: str) -> None:
    """Nothing else is guessed from the bytes, and a mark in front is no fault."""
    body = json.dumps(tiny_document | {"name": "naïve"}, ensure_ascii=False).encode(encoding)
    answer = api.post("/v1/experiments", content=body, headers=JSON)
    if encoding in {"utf-8", "utf-8-sig"}:
        assert answer.json()["name"] == "naïve"
    else:
        assert (answer.status_code, answer.json()["type"]) == (422, "urn:gauntlet:problem:invalid-json")


@pytest.mark.parametrize(
    ("header", "value", "status"),
    [
        ("Content-Type", "application/json; charset=UTF-8", 202),
        ("Content-Type", "application/problem+json", 202),
        ("Content-Type", "application/json; charset=punycode", 415),
        ("Content-Type", "application/json; charset=latin-1", 415),
        ("Content-Type", "application/yaml", 415),
        ("Content-Type", "", 415),
        ("Content-Encoding", "gzip", 415),
        ("Content-Encoding", "identity", 202),
    ],
)
def test_a_body_says_that_it_is_json(
    api: TestClient, tiny_document: dict[str, Any], header: str, value: str, status: int
) -> None:
    """As UTF-8 and not compressed; anything else is told so, and not tried."""
    answer = api.post("/v1/experiments", content=json.dumps(tiny_document), headers=JSON | {header: value})
    assert answer.status_code == status, answer.text


@pytest.mark.parametrize("path", ["/v1/experiments/exp_1/cancel", "/v1/runs/run_1/cancel"])
def test_a_body_where_none_is_taken_is_refused(api: TestClient, path: str) -> None:
    """Nobody is left to think that it was read."""
    for body in (b'{"reason": "dear"}', iter([b"", b"x"])):
        answer = api.post(path, content=body, headers=JSON)
        assert (answer.status_code, answer.json()["detail"]) == (422, "This request takes no body.")
    assert api.post(path, content=b"").status_code == 404
    assert api.post(path, content=iter([b""])).status_code == 404


def test_others_are_answered_while_a_body_is_understood() -> None:
    """A document is decoded and checked off the loop, and the function is given what came of it."""
    is_being_understood, another_was_answered = threading.Event(), threading.Event()

    class Slow(BaseModel):
        word: str

        @field_validator("word")
        @classmethod
        def _wait(cls, value: str) -> str:
            is_being_understood.set()
            return value if another_was_answered.wait(timeout=90) else "nobody else was answered"

    app = FastAPI()
    router = APIRouter(route_class=Route)

    @router.post("/slow")
    def take(slow: Slow) -> str:
        return slow.word

    @router.get("/quick")
    async def answer() -> None:
        another_was_answered.set()

    app.include_router(router)
    with TestClient(app) as api, ThreadPoolExecutor() as senders:
        waiting = senders.submit(api.post, "/slow", json={"word": "understood"})
        assert is_being_understood.wait(timeout=90)
        assert api.get("/quick").status_code == 200
        assert waiting.result().json() == "understood"


def test_others_are_answered_while_an_answer_is_written() -> None:
    """A large one is written off the loop; with the status and the headers that its function asks for."""
    is_being_written, another_was_answered = threading.Event(), threading.Event()

    class Slow(BaseModel):
        word: str

        @field_serializer("word")
        def _wait(self, value: str) -> str:
            is_being_written.set()
            return value if another_was_answered.wait(timeout=90) else "nobody else was answered"

    app = FastAPI()
    router = APIRouter(route_class=Route)

    @router.post("/slow", status_code=202)
    def make(response: Response, again: bool = False) -> Slow:
        response.headers["Location"] = "/slow/1"
        if again:
            response.status_code = 200
        return Slow(word="written")

    @router.get("/quick")
    async def answer() -> None:
        another_was_answered.set()

    app.include_router(router)
    with TestClient(app) as api, ThreadPoolExecutor() as senders:
        waiting = senders.submit(api.post, "/slow")
        assert is_being_written.wait(timeout=90)
        assert api.get("/quick").status_code == 200
        made = waiting.result()
        assert (made.status_code, made.headers["location"], made.json()) == (202, "/slow/1", {"word": "written"})
        assert made.headers["content-type"] == "application/json"
        assert api.post("/slow?again=true").status_code == 200


def test_cookies_are_not_read() -> None:
    """No route takes any, a browser sends those of every program on this host, and long ones take Python seconds."""
    app = FastAPI()
    router = APIRouter(route_class=Route)

    @router.get("/cookies")
    async def show(request: Request) -> dict[str, str]:
        return request.cookies

    app.include_router(router)
    with TestClient(app, cookies={"one": "two"}) as api:
        assert api.get("/cookies").json() == {}


class Body:
    """A request's body as a server hands it to the app, which notes what was asked for."""

    def __init__(self, *pieces: bytes, then_waits: bool = False) -> None:
        self.asked = 0
        self._pieces = list(pieces)
        self._then_waits = then_waits

    async def receive(self) -> dict[str, Any]:
        self.asked += 1
        if not self._pieces and self._then_waits:
            await asyncio.Event().wait()
        piece = self._pieces.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(self._pieces) or self._then_waits}


def status(settings: ServiceSettings, path: str, content_type: str, body: Body) -> tuple[int, dict[str, Any]]:
    """Post a body to the app itself, without a server; its answer's status and problem."""
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        await asyncio.sleep(0)
        sent.append(message)

    headers = {"host": "testserver", "content-type": content_type, "transfer-encoding": "chunked"}
    scope: dict[str, Any] = {
        "type": "http",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
    }
    scope |= {"headers": [(name.encode(), value.encode()) for name, value in headers.items()], "root_path": ""}
    scope |= {"query_string": b"", "http_version": "1.1", "client": ("127.0.0.1", 1), "server": ("testserver", 80)}
    asyncio.run(create_app(settings)(scope, body.receive, send))
    return sent[0]["status"], json.loads(sent[1]["body"])


@pytest.mark.parametrize(
    ("path", "gate"),
    [("/v1/checkpoints", IMPORTS), ("/v1/classifications", CLASSIFICATIONS)],
    ids=["import", "picture"],
)
def test_who_must_come_again_is_told_before_the_body_is_read(settings: ServiceSettings, path: str, gate: Gate) -> None:
    """So that what is refused fills neither disk nor memory; of many that come at once, few are read at all."""
    body = Body(b"x" * 1_000_000)
    with ExitStack() as taken:
        while True:
            try:
                taken.enter_context(gate.admit())
            except Exception:  # noqa: BLE001  # it is full
                break
        code, problem = status(settings, path, "multipart/form-data; boundary=b", body)
    assert (code, problem["type"], body.asked) == (429, "urn:gauntlet:problem:busy", 0)
    with gate.admit():
        pass


@pytest.mark.parametrize("path", ["/v1/experiments", "/v1/checkpoints", "/v1/runs/run_1/cancel"])
def test_a_body_that_does_not_arrive_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, settings: ServiceSettings, path: str
) -> None:
    """After a while without a piece of it the request is a 408, and its place is free again."""
    monkeypatch.setattr(bodies, "_PATIENCE_S", 0.01)
    content_type = "multipart/form-data; boundary=b" if "checkpoints" in path else "application/json"
    code, _ = status(settings, path, content_type, Body(b"", then_waits=True))
    assert code == 408
    with IMPORTS.admit():
        pass


# As many as `CLASSIFICATIONS` has.
_PLACES = 4
_FILE = part("image", b"x", b"Content-Type: image/png", more=b'; filename="a.png"')


@pytest.mark.parametrize(
    ("boundary", "pieces", "says"),
    [
        (b"", [], b"names no boundary"),
        (b"; boundary=" + b"b" * 300, [], b"boundary is too long"),
        (b"; boundary=b", [b"garbage"], b"cannot be read"),
        (b"; boundary=b", [part("colour", b"blue")], b"no such field"),
        (b"; boundary=b", [_FILE * 66], b"64 times"),
        (b"; boundary=b", [_FILE * 3, _FILE[:-2], b"\r\n" + _FILE * 62], b"64 times"),
        (b"; boundary=b", [_FILE + part("colour", b"blue")[:-5]], b"no such field"),
    ],
    ids=["none", "long", "garbage", "field", "many", "many in pieces", "second field"],
)
def test_what_is_refused_early_waits_for_no_more_of_its_form(
    settings: ServiceSettings, boundary: bytes, pieces: list[bytes], says: bytes
) -> None:
    """As many as there are places, each of which says that more comes; an honest request is answered then."""
    head = (
        b"POST /v1/classifications HTTP/1.1\r\nHost: testserver\r\nContent-Type: multipart/form-data%s\r\n" % boundary
    )
    expects = b"" if pieces else b"Expect: 100-continue\r\n"
    with serving(settings) as url, ExitStack() as open_:
        host, _, port = url.removeprefix("http://").partition(":")
        for _ in range(_PLACES + 1):
            client = open_.enter_context(socket.create_connection((host, int(port)), timeout=20))
            client.sendall(head + expects + b"Content-Length: 190000\r\n\r\n")
            for piece in pieces:
                client.sendall(piece)
            answer = b"".join(iter(partial(client.recv, 65_536), b""))
            assert answer.startswith(b"HTTP/1.1 422 "), answer
            assert says in answer
            assert b"connection: close" in answer.lower()
        form = _FILE + part("checkpoint", b"ckpt_nobodys") + b"--b--\r\n"
        honest = open_.enter_context(socket.create_connection((host, int(port)), timeout=20))
        request = head.split(b"Content-Type")[0] + b"Content-Type: multipart/form-data; boundary=b\r\n"
        honest.sendall(request + b"Content-Length: %d\r\n\r\n" % len(form) + form)
        assert honest.recv(65_536).startswith(b"HTTP/1.1 404 ")

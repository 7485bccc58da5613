"""Manners that every answer has, whichever route or layer gives it."""

import asyncio
from typing import Any, cast

import pytest
from fastapi.testclient import TestClient

from service.callers.access import Access
from service.settings import ServiceSettings
from service.transport.edge import Edge
from store.database import Database
from tests.service.conftest import STATIC

PROBLEM = "application/problem+json"


def test_head_is_get_without_its_body(api: TestClient, pages: list[str]) -> None:
    """On every route: the same status and headers, and nothing after them."""
    assert len(pages) > 15
    # Whoever asks for the metrics is counted in them.
    for page in (page for page in pages if page != "/metrics"):
        got, told = api.get(page), api.head(page)
        assert (told.status_code, told.content) == (got.status_code, b""), page
        assert int(told.headers["content-length"]) == len(got.content), page
        for answer in (told, got):
            answer.headers.pop("x-request-id")
        assert told.headers == got.headers, page


def test_head_of_a_part_is_of_the_whole(api: TestClient, pages: list[str]) -> None:
    """Parts of a body are GET's alone."""
    (weights,) = (page for page in pages if page.endswith("/weights"))
    part = {"Range": "bytes=0-9"}
    assert (api.get(weights, headers=part).status_code, api.head(weights, headers=part).status_code) == (206, 200)


def test_head_writes_no_body_for_nothing(settings: ServiceSettings) -> None:
    """An answer of many pieces is broken off before its first, so that no file is read."""
    pieces: list[int] = []
    sent: list[dict[str, Any]] = []
    headers = [(b"content-length", b"1000"), (b"etag", b'"a file has one"')]

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for number in range(1000):
            pieces.append(number)
            await send({"type": "http.response.body", "body": b"x", "more_body": True})

    async def note(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "HEAD", "path": "/", "headers": [(b"host", b"localhost")]}
    asyncio.run(Edge(app, settings, Access(settings, Database(settings.database_url)))(scope, cast("Any", None), note))
    assert pieces == []
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert (b"content-length", b"1000") in sent[0]["headers"]
    assert sent[1] == {"type": "http.response.body", "body": b""}


def test_every_answer_has_its_manners(api: TestClient, pages: list[str]) -> None:
    """Answers and refusals, of routes, of files and of the outermost layer; each says what a page of it may do."""
    answers = [api.get(page) for page in [*pages, "/nowhere"]]
    answers += [api.delete("/v1/runs"), api.get("/healthz", headers={"Host": "evil.example"})]
    answers += [api.post("/v1/experiments", content=b" " * 30_000)]
    assert {200, 404, 405, 413, 421, 422} <= {answer.status_code for answer in answers}
    for answer in answers:
        headers = answer.headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["content-security-policy"].startswith("default-src 'none'")
        assert headers["x-request-id"]


def test_the_guide_runs_its_own_script_only(api: TestClient) -> None:
    """Its policy names the one script in the page by its digest, and no frame may hold it."""
    policy = api.get("/docs").headers["content-security-policy"]
    assert "script-src 'self' 'sha256-" in policy
    assert "unsafe-eval" not in policy
    assert "frame-ancestors 'none'" in policy


def test_allow_lists_every_method_of_the_path(api: TestClient) -> None:
    """Those of all its routes, also where they are files."""
    for path, methods in (
        ("/v1/experiments", "GET, HEAD, POST"),
        ("/v1/experiments/exp_1/cancel", "POST"),
        ("/v1/experiments/validate", "POST"),
        ("/healthz", "GET, HEAD"),
        (STATIC, "GET, HEAD"),
    ):
        answer = api.put(path)
        assert (answer.status_code, answer.headers["allow"]) == (405, methods)
        assert methods in answer.json()["detail"]


@pytest.mark.parametrize("path", ["/nowhere", "/v1", "/v1/experiments/", "/docs/"])
def test_what_is_not_there_says_where_the_guide_is(api: TestClient, path: str) -> None:
    """404, also for a slash too many: a redirect would go to whatever host the request named."""
    answer = api.get(path, follow_redirects=False)
    assert (answer.status_code, answer.headers["content-type"]) == (404, PROBLEM)
    assert "/docs" in answer.json()["detail"]


@pytest.mark.parametrize(("part", "status"), [("bytes=5-1", 400), ("lines=1-2", 400), ("bytes=999999-", 416)])
def test_a_bad_range_is_a_problem(api: TestClient, pages: list[str], part: str, status: int) -> None:
    """As every other error is; how long the whole is stands in its header."""
    (weights,) = (page for page in pages if page.endswith("/weights"))
    answer = api.get(weights, headers={"Range": part})
    assert (answer.status_code, answer.headers["content-type"]) == (status, PROBLEM)
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
    assert answer.headers.get("content-range") == ("bytes */200000" if status == 416 else None)


def test_the_root_says_where_to_go(api: TestClient) -> None:
    """To a program as JSON, whose every path leads somewhere, and to a browser as the page."""
    index = api.get("/").json()
    browsers = api.get("/", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert browsers.headers["content-type"].startswith("text/html")
    assert "accept" in browsers.headers["vary"].lower()
    for path in (index["guide"], index["openapi"], *index["collections"].values()):
        assert api.get(path).status_code == 200
    assert '<script type="module" src="/page/page.js">' in browsers.text

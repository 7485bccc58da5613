"""Two API processes behind one database: what is done at the one holds at the other at once."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx2
import pytest
from fastapi.testclient import TestClient

from service.app import create_app
from service.settings import ServiceSettings
from tests.service.callers.test_session import OURS, begin
from tests.service.logins import bearer, login
from tests.service.serving import serving

Pair = tuple[TestClient, TestClient]


@pytest.fixture
def service_database(database_url: str) -> str:
    """Of each kind."""
    return database_url


@pytest.fixture
def both(guarded: ServiceSettings) -> Iterator[Pair]:
    """Two services that want tokens, and let an owner have one job."""
    with ExitStack() as stack:
        settings = guarded.model_copy(update={"quota_jobs": 1})
        one, other = (stack.enter_context(TestClient(create_app(settings))) for _ in range(2))
        yield one, other


def test_who_is_shut_out_at_one_is_shut_out_at_the_other(both: Pair, guarded: ServiceSettings) -> None:
    """A token that is revoked, and a session that is left, which the other has let in a moment ago."""
    here, there = both
    admin = login(guarded, "root", "admin")
    made = here.post("/v1/tokens", json={"owner": "ada", "scope": "submit"}, headers=admin).json()
    ada = bearer(made["token"])
    cookie = {"Cookie": begin(here, made["token"])}
    for shown in (ada, cookie, ada, cookie):
        assert there.get("/v1/runs", headers=shown).status_code == 200
    assert here.delete("/v1/session", headers=cookie | OURS).status_code == 204
    assert there.get("/v1/runs", headers=cookie).status_code == 401
    assert here.delete(f"/v1/tokens/{made['id']}", headers=admin).status_code == 200
    assert there.get("/v1/runs", headers=ada).status_code == 401


def test_a_request_is_done_once_and_counts_at_both(
    both: Pair, guarded: ServiceSettings, tiny_document: dict[str, Any]
) -> None:
    """An unanswered POST is repeated at the other service; the owner's quota is full at either."""
    here, there = both
    ada = login(guarded, "ada", "submit")
    once = {"Idempotency-Key": "once"}
    first = here.post("/v1/experiments", json=tiny_document, headers=ada | once)
    again = there.post("/v1/experiments", json=tiny_document, headers=ada | once)
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json()["id"] == again.json()["id"]
    for service in both:
        refused = service.post("/v1/experiments", json=tiny_document, headers=ada)
        assert (refused.status_code, refused.json()["type"].rpartition(":")[2]) == (429, "quota-exceeded")
    experiment = f"/v1/experiments/{first.json()['id']}"
    seen = there.get(experiment, headers=ada)
    assert here.post(f"{experiment}/cancel", headers=ada).status_code == 200
    fresh = there.get(experiment, headers=ada | {"If-None-Match": seen.headers["etag"]})
    assert (fresh.status_code, fresh.json()["status"]) == (200, "cancelled")


def test_listeners_of_either_hear_the_same(settings: ServiceSettings, tiny_document: dict[str, Any]) -> None:
    """What is submitted at one service is told by the other's stream, in the same frames."""
    with serving(settings) as here, serving(settings) as there:
        made = httpx2.post(f"{here}/v1/experiments", json=tiny_document, headers={"Host": "testserver"}).json()
        address = f"/v1/experiments/{made['id']}/events"
        told = []
        for url in (here, there):
            headers = {"Accept": "text/event-stream", "Host": "testserver"}
            with httpx2.stream("GET", f"{url}{address}", headers=headers, timeout=90) as answer:
                if not told:
                    cancel = f"{there}/v1/experiments/{made['id']}/cancel"
                    assert httpx2.post(cancel, headers={"Host": "testserver"}).status_code == 200
                told.append([line for line in answer.iter_lines() if line.startswith(("id:", "data:"))])
    assert told[0] == told[1]
    assert "cancelled" in told[0][-1]

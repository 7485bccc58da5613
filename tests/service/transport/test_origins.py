"""Requests of another site, as browsers send them: refused before anything looks at them, on loopback too."""

from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any, cast

import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from fastapi.testclient import TestClient
from sqlalchemy import select

from service.app import create_app
from service.errors import ServiceError
from service.settings import ServiceSettings
from service.transport.origins import Door
from store.database import Database
from store.models import AuditEntry, Base
from tests.service.conftest import STATIC

FOREIGN = "https://evil.example"
# What Chromium sends with a form of another site, and with what its script fetches.
BY_FORM = {
    "Origin": FOREIGN,
    "Sec-Fetch-Site": "cross-site",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Dest": "document",
}
BY_SCRIPT = {"Origin": FOREIGN, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "empty"}
FORMS: list[dict[str, Any]] = [
    {"files": {"image": ("a.png", b"x", "image/png")}, "data": {"checkpoint": "ckpt_1"}},
    {"data": {"preset": "quickstart"}},
    {"content": b'{"preset": "quickstart"}', "headers": {"Content-Type": "text/plain"}},
]


@pytest.fixture
def door(settings: ServiceSettings) -> Iterator[TestClient]:
    """A service on loopback as it is without further settings, asked by a client that is no browser."""
    app = create_app(settings.model_copy(update={"allowed_hosts": ()}))
    with TestClient(app, base_url="http://127.0.0.1:8000", raise_server_exceptions=False) as client:
        yield client


def every_request(app: FastAPI) -> Iterator[tuple[str, str]]:
    """Each route's methods and a path of it; walked, so that a new route is among them."""
    for route in iter_route_contexts(app.routes):
        for method in sorted(route.methods or {"GET"}):
            yield method, route.path if route.methods else STATIC


def rows(settings: ServiceSettings) -> list[Any]:
    """Every row but of the audit list, where some refusals stand too."""
    database = Database(settings.database_url)
    with database.reading() as session:
        changed = (table for table in Base.metadata.sorted_tables if table is not AuditEntry.__table__)
        found = [session.execute(select(table)).all() for table in changed]
    database.close()
    return found


def refused(answer: Any, status: int, kind: str) -> bool:
    told = (answer.status_code, answer.headers["content-type"], answer.json()["type"])
    return told == (status, "application/problem+json", f"urn:gauntlet:problem:{kind}")


def test_no_unsafe_route_takes_another_sites_request(
    door: TestClient, settings: ServiceSettings, tiny_document: dict[str, Any]
) -> None:
    """Whatever form or script sends it: 403, and no row has changed. No answer lets a foreign script read it."""
    made = door.post("/v1/experiments", json=tiny_document).json()["id"]
    before = rows(settings)
    unsafe = {(method, path) for method, path in every_request(cast("FastAPI", door.app)) if method != "GET"}
    unsafe = {each for each in unsafe if each[0] != "HEAD"} | {("POST", f"/v1/experiments/{made}/cancel")}
    assert len(unsafe) > 6
    for method, path in unsafe:
        for body in FORMS:
            for whose in (BY_FORM, BY_SCRIPT):
                sent = body | {"headers": whose | body.get("headers", {})}
                answer = door.request(method, path, **sent)
                assert refused(answer, 403, "foreign-origin"), (method, path, answer.text)
                assert not any(name.startswith("access-control") for name in answer.headers)
    assert rows(settings) == before


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": FOREIGN},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "http://127.0.0.1:8001"},
        {"Origin": "https://127.0.0.1:8000.evil.example"},
        {"Origin": "http://localhost"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://127.0.0.1:8000", "Sec-Fetch-Site": "cross-site"},
    ],
    ids=str,
)
def test_any_sign_of_another_page_is_enough(door: TestClient, headers: dict[str, str]) -> None:
    """Another port, an opaque origin and a page beside ours are other sites too, for reading as for writing."""
    assert refused(door.post("/v1/experiments", json={}, headers=headers), 403, "foreign-origin")
    assert refused(door.get("/v1/experiments", headers=headers), 403, "foreign-origin")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://127.0.0.1:8000"},
        {"Origin": "http://127.0.0.1:8000", "Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
    ],
    ids=str,
)
def test_our_own_page_and_what_is_no_browser_are_let_in(door: TestClient, headers: dict[str, str]) -> None:
    """They get as far as the look at what they sent."""
    assert door.post("/v1/experiments", json={}, headers=headers).status_code == 422


def test_a_link_from_another_site_is_followed(door: TestClient) -> None:
    """Into a window of its own, not into a frame, and only to look."""
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert door.get("/v1/experiments", headers=link).status_code == 200
    assert refused(door.get("/v1/experiments", headers=link | {"Sec-Fetch-Dest": "iframe"}), 403, "foreign-origin")
    assert refused(door.post("/v1/experiments", json={}, headers=link), 403, "foreign-origin")


def test_no_route_answers_under_another_name(door: TestClient) -> None:
    """A name that was pointed here learns nothing of any path, not even of the guide's files: 421."""
    for method, path in every_request(cast("FastAPI", door.app)):
        if method != "HEAD":
            answer = door.request(method, path, headers={"Host": "evil.example:8000"})
            assert refused(answer, 421, "unknown-host"), (method, path)


EVERYWHERE = {"host": "0.0.0.0"}
NAMED = {"allowed_hosts": ("gauntlet.example.org", "*.lab.example.org")}


@pytest.mark.parametrize(
    ("update", "host", "welcome"),
    [
        ({}, "localhost:8000", True),
        ({}, "LOCALHOST", True),
        ({}, "127.0.0.2", True),
        ({}, "[::1]:8000", True),
        ({}, "0.0.0.0:8000", False),
        ({}, "192.168.1.7:8000", False),
        ({}, "localhost.evil.example", False),
        ({}, "evil.example@localhost", False),
        ({}, "localhost:8000, evil.example", False),
        ({}, "", False),
        ({"host": "box.local"}, "box.local:8000", True),
        ({"host": "192.168.1.7"}, "192.168.1.7:8000", True),
        ({"host": "192.168.1.7"}, "192.168.1.8:8000", False),
        (EVERYWHERE, "192.168.1.7:8000", True),
        ({"host": "::"}, "[fd00::7]:8000", True),
        (EVERYWHERE, "gauntlet.example.org", False),
        (NAMED, "gauntlet.example.org", True),
        (NAMED, "gauntlet.example.org.", True),
        (NAMED, "a.b.lab.example.org:8443", True),
        (NAMED, "lab.example.org", False),
        (NAMED, "evillab.example.org", False),
    ],
    ids=str,
)
def test_which_names_are_its_own(settings: ServiceSettings, update: dict[str, Any], host: str, welcome: bool) -> None:
    """Loopback's, the one it listens on, those it was given, and any address if it listens on all."""
    door = Door(settings.model_copy(update={"allowed_hosts": ()} | update))
    scope = {"type": "http", "method": "GET", "headers": [(b"host", host.encode())]}
    with nullcontext() if welcome else pytest.raises(ServiceError, match="does not go by the name"):
        door.require_welcome(scope)


def test_behind_a_proxy_the_browsers_name_counts(settings: ServiceSettings) -> None:
    """Where a proxy asks under another name, pages are those of the names that were given, on their scheme's port."""
    app = create_app(settings.model_copy(update=NAMED))
    proxied = TestClient(app, base_url="http://127.0.0.1:8000", raise_server_exceptions=False)
    for origin, status in (("https://gauntlet.example.org", 422), ("https://gauntlet.example.org:9000", 403)):
        answer = proxied.post("/v1/experiments", json={}, headers={"Origin": origin})
        assert answer.status_code == status


def test_names_are_listed_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the environment has them; what is no name is refused at the start."""
    monkeypatch.setenv("GAUNTLET_ALLOWED_HOSTS", "service, Gauntlet.example.org,*.lab.example.org,")
    assert ServiceSettings().allowed_hosts == ("service", "gauntlet.example.org", "*.lab.example.org")
    monkeypatch.setenv("GAUNTLET_ALLOWED_HOSTS", "https://gauntlet.example.org")
    with pytest.raises(ValueError, match="allowed_hosts"):
        ServiceSettings()

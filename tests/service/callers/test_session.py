"""Sessions of browsers: what a token is exchanged for, how long it opens, and from where."""

from collections.abc import Iterator
from http.cookies import SimpleCookie
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select, update

from service.app import create_app
from service.settings import ServiceSettings
from store.accounts.token_text import new_token
from store.database import Database, db_now
from store.models import BrowserSession, Token
from tests.service.logins import bearer, login

OURS = {"Origin": "http://testserver"}


@pytest.fixture
def token(guarded: ServiceSettings) -> str:
    """Ada's, who may submit."""
    return login(guarded, "ada", "submit")["Authorization"].removeprefix("Bearer ")


@pytest.fixture
def database(guarded: ServiceSettings) -> Iterator[Database]:
    """The service's."""
    database = Database(guarded.database_url)
    yield database
    database.close()


def cookie_of(answer: Any) -> Any:
    (header,) = answer.headers.get_list("set-cookie")
    (cookie,) = SimpleCookie(header).values()
    return cookie


def begin(api: TestClient, token: str) -> str:
    """Log in; the test's client keeps no cookies, so that each request says what it shows."""
    answer = api.post("/v1/session", json={"token": token}, headers=OURS)
    assert answer.status_code == 201
    cookie = cookie_of(answer)
    api.cookies.clear()
    return f"{cookie.key}={cookie.value}"


def test_a_token_is_exchanged_for_a_cookie(guarded_api: TestClient, token: str, database: Database) -> None:
    """Out of reach of scripts and of other sites, bounded, and random; no row and no answer holds it or the token."""
    answer = guarded_api.post("/v1/session", json={"token": token}, headers=OURS)
    cookie = cookie_of(answer)
    assert (cookie.key, cookie["path"], cookie["samesite"].lower()) == ("gauntlet_session", "/", "strict")
    assert (cookie["httponly"], cookie["secure"], cookie["domain"]) == (True, "", "")
    assert 43_190 < int(cookie["max-age"]) <= 43_200
    assert {field: answer.json()[field] for field in ("object", "login", "owner", "scope")} == {
        "object": "session",
        "login": True,
        "owner": "ada",
        "scope": "submit",
    }
    assert answer.headers["cache-control"] == "no-store"
    guarded_api.cookies.clear()
    by_header = guarded_api.post("/v1/session", json={}, headers=bearer(token))
    assert len(cookie.value) == 43
    assert cookie_of(by_header).value != cookie.value
    with database.reading() as session:
        kept = [str(vars(row)) for row in session.scalars(select(BrowserSession))]
    assert len(kept) == 2
    for secret in (token, cookie.value):
        assert secret not in answer.text + by_header.text + "".join(kept)


def test_the_cookie_opens_what_the_token_opens(
    guarded_api: TestClient, token: str, tiny_document: dict[str, Any]
) -> None:
    """For its owner, until it is ended; the token itself stays."""
    shown = {"Cookie": f"theirs=1; {begin(guarded_api, token)}; more=2"}
    assert guarded_api.get("/v1/session", headers=shown).json()["owner"] == "ada"
    made = guarded_api.post("/v1/experiments", json=tiny_document, headers=shown | OURS)
    assert (made.status_code, made.json()["owner"]) == (202, "ada")
    assert guarded_api.get("/v1/tokens", headers=shown).status_code == 403
    ended = guarded_api.delete("/v1/session", headers=shown | OURS)
    assert (ended.status_code, cookie_of(ended)["max-age"]) == (204, "0")
    assert guarded_api.get("/v1/session", headers=shown).status_code == 401
    assert guarded_api.get("/v1/session", headers=bearer(token)).json()["owner"] == "ada"
    assert guarded_api.delete("/v1/session", headers=bearer(token)).status_code == 204
    assert guarded_api.get("/v1/session", headers=bearer(token)).status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),
        ({"Sec-Fetch-Site": "none"}, 403),
        ({"Origin": "http://testserver:8001"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 422),
        (OURS, 422),
    ],
    ids=str,
)
def test_with_a_cookie_only_the_services_own_page_changes_anything(
    guarded_api: TestClient, token: str, headers: dict[str, str], status: int
) -> None:
    """What does not say whose page it comes from is refused too; reading goes on."""
    shown = {"Cookie": begin(guarded_api, token)}
    assert guarded_api.post("/v1/experiments", json={}, headers=shown | headers).status_code == status
    assert guarded_api.get("/v1/experiments", headers=shown).status_code == 200


def test_a_session_ends_with_its_token_and_its_time(guarded_api: TestClient, token: str, database: Database) -> None:
    """Revoked, expired, and expired itself: 401 at once. The next login forgets the ended rows."""
    shown = {"Cookie": begin(guarded_api, token)}

    def status_after(model: type[Token] | type[BrowserSession], **values: Any) -> int:
        with database.writing() as session:
            session.execute(update(model).values(values))
        return guarded_api.get("/v1/runs", headers=shown).status_code

    assert status_after(Token, revoked_at=db_now()) == 401
    assert status_after(Token, revoked_at=None) == 200
    assert status_after(Token, expires_at=db_now()) == 401
    assert status_after(Token, expires_at=None) == 200
    assert status_after(BrowserSession, expires_at=db_now()) == 401
    begin(guarded_api, token)
    with database.reading() as session:
        assert len(session.scalars(select(BrowserSession)).all()) == 1


def test_no_session_outlives_its_token(guarded_api: TestClient, token: str, database: Database) -> None:
    """A token with an hour left gives an hour."""
    with database.writing() as session:
        session.execute(update(Token).values(expires_at=db_now() + 3_600))
    answer = guarded_api.post("/v1/session", json={"token": token})
    assert 3_500 < int(cookie_of(answer)["max-age"]) <= 3_600


@pytest.mark.parametrize("shown", ["gauntlet_session=", "gauntlet_session=x", f"gauntlet_session={'x' * 43}", ";;="])
def test_no_other_cookie_opens_anything(guarded_api: TestClient, shown: str) -> None:
    """However often it is tried: an open page of an ended session is no failed login."""
    answers = {guarded_api.get("/v1/runs", headers={"Cookie": shown}).status_code for _ in range(25)}
    assert answers == {401}


def test_a_token_in_the_cookies_place_opens_nothing(guarded_api: TestClient, token: str) -> None:
    """Nor does a session's secret as a bearer token."""
    secret = begin(guarded_api, token).partition("=")[2]
    assert guarded_api.get("/v1/runs", headers={"Cookie": f"gauntlet_session={token}"}).status_code == 401
    assert guarded_api.get("/v1/runs", headers=bearer(secret)).status_code == 401


def test_failed_exchanges_are_slowed_as_other_logins_are(guarded_api: TestClient, token: str) -> None:
    """Twenty a minute, whichever way a token is shown; a right one is still exchanged."""
    statuses = [guarded_api.post("/v1/session", json={"token": new_token()}).status_code for _ in range(10)]
    statuses += [guarded_api.post("/v1/session", json={}, headers=bearer("x")).status_code for _ in range(5)]
    statuses += [guarded_api.get("/v1/runs", headers=bearer(new_token())).status_code for _ in range(6)]
    assert statuses == [401] * 20 + [429]
    assert guarded_api.post("/v1/session", json={"token": "x" * 200}).status_code == 429
    assert guarded_api.post("/v1/session", json={}).status_code == 401
    begin(guarded_api, token)


def test_without_a_login_everybody_is_told_so(api: TestClient) -> None:
    """No cookie is handed out, and one that is shown is taken for nothing."""
    for answer in (api.get("/v1/session"), api.post("/v1/session", json={"token": new_token()})):
        assert answer.json() == {
            "object": "session",
            "login": False,
            "owner": None,
            "scope": "admin",
            "expires_at": None,
        }
        assert "set-cookie" not in answer.headers
    assert api.delete("/v1/session", headers={"Cookie": "gauntlet_session=x"}).status_code == 204


def test_behind_a_trusted_proxy_the_cookie_is_for_https_alone(guarded: ServiceSettings, token: str) -> None:
    """The proxy says whether the browser came by HTTPS; nobody else is believed."""
    behind = guarded.model_copy(update={"trusted_proxies": ("10.1.0.0/16",)})
    said = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.7"}
    cookies = {}
    for peer in ("10.1.2.3", "10.2.0.1"):
        with TestClient(create_app(behind), client=(peer, 1)) as client:
            answer = client.post("/v1/session", json={"token": token}, headers=said)
            cookies[peer] = cookie_of(answer)
            client.cookies.clear()
            shown = {"Cookie": f"{cookies[peer].key}={cookies[peer].value}"}
            assert client.get("/v1/runs", headers=said | shown).status_code == 200
    names = {peer: (cookie.key, cookie["secure"]) for peer, cookie in cookies.items()}
    assert names == {"10.1.2.3": ("__Host-gauntlet_session", True), "10.2.0.1": ("gauntlet_session", "")}

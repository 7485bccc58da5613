"""Tokens at the door: every route × method × kind of caller, and nothing that is not asked for stays open."""

from pathlib import Path
from typing import Any, cast, get_args

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import update

from gauntlet.spec.asked.tokens import Scope, TokenRequest
from service.app import create_app
from service.callers.access import AccessUnsafe, is_open, require_safe, scope_for
from service.settings import ServiceSettings
from store.accounts import secret_key, tokens
from store.accounts.token_text import new_token
from store.database import Database, db_now
from store.models import Token
from tests.service.logins import bearer
from tests.service.transport.test_origins import every_request, rows

OURS = {"Origin": "http://testserver"}
_RANK = {scope: rank for rank, scope in enumerate(get_args(Scope))}


@pytest.fixture
def shown(guarded: ServiceSettings) -> dict[str, str]:
    """A token for each kind of caller."""
    key = secret_key.read_or_make(guarded.secret_key_file)
    database = Database(guarded.database_url)
    with database.writing() as session:
        made = {
            kind: tokens.create(session, key, TokenRequest(owner="ada", scope=scope))
            for kind, scope in [*((scope, scope) for scope in get_args(Scope)), ("expired", "admin"), ("gone", "admin")]
        }
        tokens.revoke(session, made["gone"][0].id)
        session.execute(update(Token).where(Token.id == made["expired"][0].id).values(expires_at=db_now()))
    database.close()
    return {kind: text for kind, (_, text) in made.items()} | {"unknown": new_token(), "mistyped": new_token()[:-1]}


def rows_but_uses(settings: ServiceSettings) -> list[Any]:
    """Every row, but for when tokens were last used."""
    database = Database(settings.database_url)
    with database.writing() as session:
        session.execute(update(Token).values(last_used_at=None))
    database.close()
    return rows(settings)


def test_every_route_is_closed_to_whom_it_is_not_open(
    guarded_api: TestClient, guarded: ServiceSettings, shown: dict[str, str]
) -> None:
    """Without a token or session that opens anything 401, with too small a scope 403; nothing is changed by asking."""
    sessions = {"read": _session(guarded_api, shown["read"])}
    before = rows_but_uses(guarded)
    requests = [*every_request(cast("FastAPI", guarded_api.app)), ("GET", "/v1/nowhere"), ("POST", "/v1/nowhere")]
    assert len(requests) > 25
    asked = 0
    for method, path in requests:
        concrete = path.replace("{", "").replace("}", "")
        if is_open(method, concrete):
            assert guarded_api.request(method, concrete).status_code not in (401, 403, 500), (method, path)
            continue
        for kind in ("", "unknown", "mistyped", "expired", "gone"):
            # Each from an address of its own: who fails often is answered otherwise, below.
            asked += 1
            from_there = _from(guarded_api, f"10.0.{asked % 250}.{asked // 250}")
            answer = from_there.request(method, concrete, headers=bearer(shown[kind]) if kind else {})
            assert answer.status_code == 401, (kind, method, path)
            assert answer.headers["WWW-Authenticate"] == "Bearer"
        stale = guarded_api.request(method, concrete, headers=OURS | {"Cookie": f"gauntlet_session={'x' * 43}"})
        assert stale.status_code == 401, (method, path)
        needed = scope_for(method, concrete)
        for scope in get_args(Scope):
            if _RANK[scope] < _RANK[needed]:
                # A session is looked up otherwise than a token, and then is one.
                refused = guarded_api.request(method, concrete, headers=sessions.get(scope, bearer(shown[scope])))
                assert refused.status_code == 403, (scope, method, path)
                if method != "HEAD":
                    assert refused.json()["type"].endswith("scope-too-small")
        if method in ("GET", "HEAD"):
            assert guarded_api.request(method, concrete, headers=bearer(shown[needed])).status_code not in (401, 403)
    assert rows_but_uses(guarded) == before


def test_every_route_is_open_to_whom_it_is_for(guarded_api: TestClient, shown: dict[str, str]) -> None:
    """With the scope that a route needs, and with each that has more rights, it is asked."""
    for method, path in every_request(cast("FastAPI", guarded_api.app)):
        concrete = path.replace("{", "").replace("}", "")
        needed = "read" if is_open(method, concrete) else scope_for(method, concrete)
        for scope in get_args(Scope):
            if _RANK[scope] >= _RANK[needed]:
                answer = guarded_api.request(method, concrete, headers=bearer(shown[scope]))
                assert answer.status_code not in (401, 403, 500), (scope, method, path)


def _session(guarded_api: TestClient, token: str) -> dict[str, str]:
    """What the service's own page sends once somebody has logged in with the token."""
    begun = guarded_api.post("/v1/session", json={"token": token}, headers=OURS)
    guarded_api.cookies.clear()
    return OURS | {"Cookie": begun.headers["Set-Cookie"].partition(";")[0]}


def _from(guarded_api: TestClient, address: str) -> TestClient:
    return TestClient(guarded_api.app, client=(address, 1), raise_server_exceptions=False)


def test_what_needs_no_login_is_known() -> None:
    """The health of the service, the page that one logs in with, and the login itself; nothing below or beside them."""
    opened = {("GET", "/healthz"), ("GET", "/readyz"), ("GET", "/"), ("HEAD", "/"), ("GET", "/page/app.js")}
    assert all(is_open(*request) for request in {*opened, ("POST", "/v1/session")})
    closed = {("POST", "/"), ("GET", "/v1/session"), ("DELETE", "/v1/session"), ("POST", "/v1/session/x")}
    closed |= {("POST", "/page/x"), ("GET", "/page"), ("GET", "/pages/x"), ("GET", "/healthz/x"), ("GET", "//")}
    closed |= {("GET", "/docs"), ("GET", "/openapi.json"), ("GET", "/static-offline-docs/swagger-ui.css")}
    assert not any(is_open(*request) for request in closed)


def test_scopes_follow_from_method_and_path() -> None:
    """Reading needs `read`, classifying too; all else that is no reading `submit`; tokens `admin`."""
    assert scope_for("GET", "/v1/experiments") == "read"
    assert scope_for("POST", "/v1/classifications") == "read"
    assert scope_for("POST", "/v1/experiments") == "submit"
    assert scope_for("PATCH", "/anything/later") == "submit"
    assert scope_for("GET", "/v1/tokens") == "admin"
    assert scope_for("DELETE", "/v1/tokens/tok_1") == "admin"
    assert scope_for("GET", "/v1/tokensother") == "read"


@pytest.mark.parametrize("below", ["/x", ""], ids=["path as sent", "path without it"])
def test_below_a_path_no_scope_is_smaller(guarded: ServiceSettings, shown: dict[str, str], below: str) -> None:
    """Where a server puts the service there (uvicorn's `--root-path`), doors are the same, and the page is open."""
    wanted = {"owner": "eve", "scope": "admin"}
    with TestClient(create_app(guarded), root_path="/x") as there:
        for kind, status in (("read", 403), ("submit", 403), ("admin", 201)):
            answer = there.post(f"{below}/v1/tokens", json=wanted, headers=bearer(shown[kind]))
            assert answer.status_code == status, kind
        assert there.get(f"{below}/v1/audit", headers=bearer(shown["submit"])).status_code == 403
        found = there.get(f"{below}/v1/audit", headers=bearer(shown["admin"])).json()["data"]
        assert {entry["route"] for entry in found} == {"/v1/tokens", "/v1/audit"}
        other = there.delete(f"{below}/v1/tokens", headers=bearer(shown["admin"]))
        assert (other.status_code, other.headers["Allow"]) == (405, "GET, HEAD, POST")
        assert there.get(f"{below}/v1/runs", headers=bearer(shown["read"])).status_code == 200
        assert there.get(f"{below}/v1/runs").status_code == 401
        assert there.get(f"{below}/healthz").status_code == 200
        assert there.get(f"{below}/").status_code == 200


def test_an_admin_gives_and_takes_tokens(guarded_api: TestClient, shown: dict[str, str]) -> None:
    """A token is told once; it works at once, is listed with its last use, and opens nothing once it is revoked."""
    admin = bearer(shown["admin"])
    request = {"owner": "bob", "scope": "read", "name": "dashboard", "expires": "12h"}
    made = guarded_api.post("/v1/tokens", json=request, headers=admin)
    assert made.status_code == 201
    token = made.json()
    assert (token["owner"], token["scope"], token["last_used_at"], token["revoked_at"]) == ("bob", "read", None, None)
    assert guarded_api.get("/v1/experiments", headers=bearer(token["token"])).status_code == 200
    listed = guarded_api.get("/v1/tokens?limit=1", headers=admin).json()["data"][0]
    assert listed["id"] == token["id"]
    assert "token" not in listed
    assert listed["last_used_at"] is not None
    assert guarded_api.delete(f"/v1/tokens/{token['id']}", headers=admin).json()["revoked_at"] is not None
    assert guarded_api.get("/v1/experiments", headers=bearer(token["token"])).status_code == 401
    assert guarded_api.post("/v1/tokens", json=request | {"expires": "soon"}, headers=admin).status_code == 422
    assert guarded_api.post("/v1/tokens", json=request | {"owner": "a b"}, headers=admin).status_code == 422


def test_who_fails_often_is_slowed_and_nobody_else(guarded_api: TestClient, shown: dict[str, str]) -> None:
    """Past twenty unknown tokens a minute from one address: 429; a right token from there still opens."""
    answers = [guarded_api.get("/v1/runs", headers=bearer(new_token())).status_code for _ in range(22)]
    assert answers == [401] * 20 + [429] * 2
    assert "Retry-After" in guarded_api.get("/v1/runs", headers=bearer(new_token())).headers
    assert guarded_api.get("/v1/runs", headers=bearer(shown["read"])).status_code == 200
    assert _from(guarded_api, "10.9.9.9").get("/v1/runs", headers=bearer(new_token())).status_code == 401


@pytest.mark.parametrize(
    ("auth", "host", "on"),
    [
        ("auto", "127.0.0.1", False),
        ("auto", "localhost", False),
        ("auto", "::1", False),
        ("auto", "0.0.0.0", True),
        ("auto", "gauntlet.example.org", True),
        ("on", "127.0.0.1", True),
        ("off", "0.0.0.0", False),
    ],
)
def test_a_login_is_wanted_where_others_can_reach_the_service(
    settings: ServiceSettings, auth: str, host: str, *, on: bool
) -> None:
    """`auto` is off on loopback only."""
    assert settings.model_copy(update={"auth": auth, "host": host}).auth_is_on is on


def test_a_login_is_wanted_behind_a_proxy_that_is_named(settings: ServiceSettings) -> None:
    """Through it others come to loopback too."""
    behind = settings.model_copy(update={"trusted_proxies": ("127.0.0.1",)})
    assert behind.auth_is_on
    assert not behind.model_copy(update={"auth": "off"}).auth_is_on


def test_the_first_token_is_taken_up_once(guarded: ServiceSettings, tmp_path: Path) -> None:
    """It opens everything; revoked, it stays so at the next start, which then finds nobody who could get in."""
    text = new_token()
    (tmp_path / "first").write_text(f"{text}\n")
    settings = guarded.model_copy(update={"first_token_file": tmp_path / "first"})
    app = create_app(settings)
    with TestClient(app, raise_server_exceptions=False) as client:
        for _ in range(2):
            require_safe(settings, app.state.database)
        (token,) = client.get("/v1/tokens", headers=bearer(text)).json()["data"]
        assert (token["owner"], token["scope"]) == ("first", "admin")
        client.delete(f"/v1/tokens/{token['id']}", headers=bearer(text))
        with pytest.raises(AccessUnsafe, match="there is no token yet"):
            require_safe(settings, app.state.database)
        assert client.get("/v1/tokens", headers=bearer(text)).status_code == 401

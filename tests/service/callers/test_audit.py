"""The audit list over HTTP: what is in it, who reads it, and what is never in it."""

import json
from datetime import datetime, timedelta
from typing import Any, cast

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts
from fastapi.testclient import TestClient

from service import dependencies
from service.app import create_app
from service.requests.parameters import with_dependencies
from service.settings import ServiceSettings
from store.accounts.token_text import new_token
from store.database import Database
from store.queue import jobs
from tests.service.conftest import documented_app
from tests.service.logins import bearer, login

# They change nothing.
CHANGE_NOTHING: set[str] = {"/v1/classifications", "/v1/experiments/validate"}


@pytest.fixture
def callers(guarded: ServiceSettings) -> dict[str, dict[str, str]]:
    scopes = {"ada": "submit", "bob": "submit", "eve": "read", "root": "admin"}
    return {owner: login(guarded, owner, cast("Any", scope)) for owner, scope in scopes.items()}


def test_whoever_changes_something_stands_in_the_list(
    guarded_api: TestClient, callers: dict[str, dict[str, str]], tiny_document: dict[str, Any]
) -> None:
    """And who had not the right to, once a minute; neither who only looked nor whose request was at fault."""
    made = guarded_api.post("/v1/experiments", json=tiny_document, headers=callers["ada"])
    experiment = made.json()["id"]
    for owner in ("bob", "bob", "eve", "ada"):
        guarded_api.post(f"/v1/experiments/{experiment}/cancel", headers=callers[owner])
    for _ in range(2):
        guarded_api.get("/v1/tokens/x", headers=callers["ada"])
    guarded_api.post("/v1/experiments", json={}, headers=callers["ada"])
    guarded_api.post("/v1/experiments/exp_none/cancel", headers=callers["ada"])
    guarded_api.get("/v1/experiments", headers=callers["ada"])
    guarded_api.get("/v1/experiments", headers=bearer(new_token()))
    guarded_api.post("/v1/nowhere", headers=callers["eve"])
    token = guarded_api.post("/v1/tokens", json={"owner": "bob"}, headers=callers["root"]).json()
    listed = guarded_api.get("/v1/audit", headers=callers["root"]).json()["data"]
    told = [(each["owner"], f"{each['method']} {each['route']}", each["subject"], each["outcome"]) for each in listed]
    cancel = "POST /v1/experiments/{experiment_id}/cancel"
    assert told == [
        ("root", "POST /v1/tokens", token["id"], "done"),
        ("eve", "POST (no such path)", None, "scope-too-small"),
        ("ada", "GET /v1/tokens/{token_id}", None, "scope-too-small"),
        ("ada", cancel, experiment, "done"),
        ("eve", cancel, experiment, "scope-too-small"),
        ("bob", cancel, experiment, "not-yours"),
        ("ada", "POST /v1/experiments", experiment, "done"),
    ]
    assert listed[-1]["request"] == made.headers["X-Request-Id"]
    assert all(each["token"].startswith("tok_") for each in listed)
    secrets = [headers["Authorization"].removeprefix("Bearer ") for headers in callers.values()]
    assert not any(secret in json.dumps(listed) for secret in [*secrets, token["token"], tiny_document["name"] + '"'])


def test_a_refusal_of_a_long_method_is_in_the_list_too(guarded: ServiceSettings, postgresql_url: str) -> None:
    """PostgreSQL takes no more letters of it than its column has."""
    settings = guarded.model_copy(update={"database_url": postgresql_url})
    eve, root = login(settings, "eve", "read"), login(settings, "root", "admin")
    with TestClient(create_app(settings)) as api:
        assert api.request("UNSUBSCRIBE", "/v1/runs", headers=eve).status_code == 403
        (entry,) = api.get("/v1/audit", headers=root).json()["data"]
    assert (entry["owner"], entry["method"], entry["outcome"]) == ("eve", "UNSUBSCRIB", "scope-too-small")


def test_logins_and_what_comes_without_one_are_in_the_list_too(
    api: TestClient, guarded_api: TestClient, callers: dict[str, dict[str, str]], tiny_document: dict[str, Any]
) -> None:
    """By the owner of the token that was exchanged; without a login by nobody."""
    guarded_api.post("/v1/session", json={}, headers=callers["ada"])
    guarded_api.cookies.clear()
    api.post("/v1/experiments", json=tiny_document)
    listed = api.get("/v1/audit").json()["data"]
    assert [(each["owner"], each["route"]) for each in listed] == [(None, "/v1/experiments"), ("ada", "/v1/session")]
    assert (listed[0]["token"], listed[1]["subject"]) == (None, None)


def test_a_request_is_followed_to_what_became_of_it(
    guarded: ServiceSettings, guarded_api: TestClient, callers: dict[str, dict[str, str]], tiny_document: dict[str, Any]
) -> None:
    """By its id to the experiment, and by that to the worker that took a run, at which attempt."""
    request = guarded_api.post("/v1/experiments", json=tiny_document, headers=callers["ada"]).headers["X-Request-Id"]
    listed = guarded_api.get("/v1/audit", headers=callers["root"]).json()["data"]
    (entry,) = [each for each in listed if each["request"] == request]
    experiment, reader = entry["subject"], callers["eve"]
    (run,) = guarded_api.get("/v1/runs", params={"experiment": experiment}, headers=reader).json()["data"]
    database = Database(guarded.database_url)
    with database.writing() as session:
        held = jobs.claim(session, "run", run["id"], "here:1", 60)
        assert held is not None
        jobs.finish(session, held, "succeeded")
    database.close()
    events = guarded_api.get(f"/v1/experiments/{experiment}/events", headers=reader).json()["data"]
    of_run = [(each["kind"], each["attempt"], each["message"]) for each in events if each["subject"] == run["id"]]
    assert of_run == [
        ("queued", None, "The run is queued."),
        ("running", 1, "The run is running: attempt 1 on here:1."),
        ("succeeded", 1, "The run is succeeded."),
    ]


def test_the_list_is_for_admins_page_by_page(
    guarded_api: TestClient, callers: dict[str, dict[str, str]], tiny_document: dict[str, Any]
) -> None:
    """Of one owner or time where they are named; a moment without its zone could be any, and is refused."""
    for owner in ("ada", "bob", "ada"):
        guarded_api.post("/v1/experiments", json=tiny_document, headers=callers[owner])
    root = callers["root"]
    assert guarded_api.get("/v1/audit", headers=callers["ada"]).status_code == 403
    first = guarded_api.get("/v1/audit?owner=ada&limit=1", headers=root).json()
    assert (len(first["data"]), first["has_more"]) == (1, True)
    # Ada's look at the list was refused, and is the newest.
    assert first["data"][0]["outcome"] == "scope-too-small"
    rest = guarded_api.get(f"/v1/audit?owner=ada&after={first['next']}", headers=root).json()
    assert [each["owner"] for each in rest["data"]] == ["ada", "ada"]
    moment = datetime.fromisoformat(rest["data"][-1]["created_at"]) - timedelta(seconds=1)
    assert len(guarded_api.get("/v1/audit", params={"since": moment.isoformat()}, headers=root).json()["data"]) == 4
    assert guarded_api.get("/v1/audit", params={"until": moment.isoformat()}, headers=root).json()["data"] == []
    for value in ("2026-11-27T00:00", "soon", "nan", "1e400", "9" * 40, "0001-01-01T00:00+14:00", ""):
        answer = guarded_api.get("/v1/audit", params={"since": value}, headers=root)
        assert answer.status_code in (200, 422), (value, answer.text)
    assert guarded_api.get("/v1/audit", params={"since": "2026-11-27T00:00"}, headers=root).status_code == 422


def test_no_route_changes_anything_past_the_list() -> None:
    """Each that may is given the database by the dependency that writes the entry; a new one too."""
    unsafe = [
        route
        for route in iter_route_contexts(cast("FastAPI", documented_app()).routes)
        if {"POST", "PUT", "PATCH", "DELETE"} & set(route.methods or ()) and route.path_format not in CHANGE_NOTHING
    ]
    assert len(unsafe) >= 10
    for route in unsafe:
        assert isinstance(route.original_route, APIRoute)
        asked_for = {part.call for part in with_dependencies(route.dependant)}
        assert dependencies._database in asked_for, route.path_format

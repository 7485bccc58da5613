"""Lists that filter and sort, over HTTP."""

from typing import Any

import pytest
from fastapi.testclient import TestClient


@pytest.fixture
def made(api: TestClient, tiny_document: dict[str, Any]) -> list[str]:
    """Three experiments of one run each; the second was cancelled."""
    identifiers = [
        api.post("/v1/experiments", json=tiny_document | {"name": name, "labels": labels}).json()["id"]
        for name, labels in (("beta", ["x"]), ("Alpha", ["x", "y"]), ("gamma", []))
    ]
    api.post(f"/v1/experiments/{identifiers[1]}/cancel")
    return identifiers


def listed(api: TestClient, path: str, **query: Any) -> list[str]:
    answer = api.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return [each["id"] for each in answer.json()["data"]]


def test_experiments_are_filtered_and_sorted(api: TestClient, made: list[str]) -> None:
    """By what is named, in the order that is named, page by page."""
    beta, alpha, gamma = made
    path = "/v1/experiments"
    assert listed(api, path) == [gamma, alpha, beta]
    assert listed(api, path, status="cancelled") == [alpha]
    assert listed(api, path, status=["cancelled", "queued"], order="created_at") == made
    assert listed(api, path, label=["x", "y"]) == [alpha]
    assert listed(api, path, name="A", label="x", order="name") == [alpha, beta]
    assert listed(api, path, owner="nobody") == []
    second = api.get(f"{path}/{alpha}").json()["created_at"]
    assert listed(api, path, since=second) == [gamma, alpha]
    assert listed(api, path, until=second, name="a") == [beta]
    first = api.get(path, params={"order": "-name", "limit": 2}).json()
    assert [each["name"] for each in first["data"]] == ["gamma", "beta"]
    assert listed(api, path, order="-name", limit=2, after=first["next"]) == [alpha]


def test_an_entry_says_how_its_runs_stand(api: TestClient, made: list[str]) -> None:
    """Counted by status, in lists and by itself."""
    entries = {each["id"]: each["runs"] for each in api.get("/v1/experiments").json()["data"]}
    assert entries == {made[0]: {"queued": 1}, made[1]: {"cancelled": 1}, made[2]: {"queued": 1}}
    assert api.get(f"/v1/experiments/{made[1]}").json()["runs"] == {"cancelled": 1}


def test_jobs_are_filtered_by_status(api: TestClient, made: list[str]) -> None:
    """Runs and evaluations alike."""
    (run,) = api.get("/v1/runs", params={"experiment": made[1]}).json()["data"]
    assert listed(api, "/v1/runs", status="cancelled") == [run["id"]]
    assert listed(api, "/v1/runs", status="cancelled", experiment=made[0]) == []
    assert listed(api, "/v1/evaluations", status=["failed", "queued"]) == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("status=done", "status"),
        ("order=size", "order"),
        ("order=name&after=exp_1", "after"),
        ("after=exp_1.61", "after"),
        ("order=name&after=exp_1.6", "after"),
        ("after=../etc", "after"),
        ("name=", "name"),
        ("name=%00", "name"),
        ("owner=a%0Ab", "owner"),
        ("label=%20", "label"),
        ("since=yesterday", "since"),
        ("since=1764201600", "since"),
        ("until=0.5", "until"),
        ("until=2026-11-27T00:00", "until"),
        ("colour=red", "colour"),
        ("name=a&name=b", "name"),
    ],
)
def test_a_faulty_filter_is_named(api: TestClient, query: str, field: str) -> None:
    """422 with a pointer to the parameter."""
    answer = api.get(f"/v1/experiments?{query}")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"].startswith(f"/query/{field}")

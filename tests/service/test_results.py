"""Results of elsewhere over HTTP: kept, shown with their mark, and never ranked."""

import json
from typing import Any

import pytest
from fastapi.testclient import TestClient

from store.subjects import results
from tests.evaluations import elsewhere

MARK = "measured_elsewhere"


@pytest.fixture
def service_database(database_url: str) -> str:
    """Of each kind."""
    return database_url


def brought(api: TestClient, **changes: Any) -> Any:
    # Half a character can be written in ASCII alone.
    content = json.dumps(elsewhere().model_dump(mode="json") | changes)
    return api.post("/v1/results", content=content, headers={"Content-Type": "application/json"})


def test_a_result_is_kept_with_its_mark(api: TestClient) -> None:
    """201 with its place; listed, shown in every form, and deleted."""
    answer = brought(api)
    assert answer.status_code == 201, answer.text
    shown = answer.json()
    assert answer.headers["location"] == f"/v1/results/{shown['id']}"
    assert (shown["measured"], [doubt["kind"] for doubt in shown["doubts"]]) == ("elsewhere", [MARK])
    assert shown["outcome"]["attacks"][0]["accuracy"]["value"] == 0.75
    assert api.get(answer.headers["location"]).json() == shown
    assert api.get("/v1/results").json()["data"] == [shown]
    for form, media in (("md", "text/markdown"), ("csv", "text/csv")):
        rendered = api.get(answer.headers["location"], params={"format": form})
        assert rendered.headers["content-type"].startswith(media)
        assert "easured" in rendered.text
        assert "elsewhere" in rendered.text
    assert api.delete(answer.headers["location"]).status_code == 204
    assert api.get(answer.headers["location"]).status_code == 404


def test_it_is_ranked_nowhere(api: TestClient) -> None:
    """The leaderboard has what was measured here alone."""
    before = api.get("/v1/leaderboard").json()
    assert brought(api).status_code == 201
    assert api.get("/v1/leaderboard").json() == before
    assert api.get("/v1/evaluations").json()["data"] == []


def test_what_contradicts_itself_is_refused_with_a_reason(api: TestClient) -> None:
    outcome = elsewhere().outcome.model_dump(mode="json")
    outcome["natural"]["value"] = 0.9
    answer = brought(api, outcome=outcome)
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert "natural is no whole number of 4 images" in error["message"]
    assert api.get("/v1/results").json()["data"] == []


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("classes", 0), "\0"),
        (("classes", 0), "\ud800"),
        (("classes", 0), "zero\x1b[31m"),
        (("worst_cases", 0, "attacks", 0), "fgsm\0"),
        (("attacks", 0, "accuracy", "n"), 10**400),
        (("worst_cases", 0, "accuracy", "n"), 10**400),
        (("attacks", 0, "survivors"), {"\0": 1}),
    ],
)
def test_what_a_database_cannot_hold_is_refused(api: TestClient, place: tuple[str | int, ...], value: object) -> None:
    """Wherever in the outcome it stands, whose texts are otherwise as the library wrote them."""
    outcome = elsewhere().outcome.model_dump(mode="json")
    *above, last = place
    holder = outcome
    for step in above:
        holder = holder[step]
    holder[last] = value
    answer = brought(api, outcome=outcome)
    assert answer.status_code == 422
    assert api.get("/v1/results").json()["data"] == []


def test_there_is_a_bound(api: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "_MOST", 1)
    assert brought(api).status_code == 201
    refused = brought(api)
    assert (refused.status_code, refused.json()["type"]) == (403, "urn:gauntlet:problem:quota-exceeded")

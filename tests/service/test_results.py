"""Results of elsewhere over HTTP: kept, shown with their mark, and never ranked."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

from store.subjects import results
from tests.evaluations import elsewhere

MARK = "measured_elsewhere"


def brought(api: TestClient, **changes: Any) -> Any:
    return api.post("/v1/results", json=elsewhere().model_dump(mode="json") | changes)


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


def test_there_is_a_bound(api: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "_MOST", 1)
    assert brought(api).status_code == 201
    refused = brought(api)
    assert (refused.status_code, refused.json()["type"]) == (403, "urn:gauntlet:problem:quota-exceeded")

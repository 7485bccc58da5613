"""Submitting experiments over HTTP and looking at them."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

from service.app import create_app
from service.settings import ServiceSettings


def test_a_spec_is_accepted_with_its_location(api: TestClient, tiny_document: dict[str, Any]) -> None:
    """202, and the Location leads to the same experiment."""
    answer = api.post("/v1/experiments", json=tiny_document)
    assert answer.status_code == 202
    experiment = answer.json()
    assert answer.headers["location"] == f"/v1/experiments/{experiment['id']}"
    assert (experiment["object"], experiment["status"]) == ("experiment", "queued")
    assert api.get(answer.headers["location"]).json() == experiment
    runs = api.get("/v1/runs", params={"experiment": experiment["id"]}).json()["data"]
    assert [(run["objective"], run["seed"], run["status"]) for run in runs] == [("cross_entropy", 0, "queued")]


def test_a_preset_can_be_overridden_field_by_field(api: TestClient) -> None:
    """What is not said comes from the preset, and the stored spec says all of it."""
    answer = api.post("/v1/experiments", json={"preset": "quickstart", "training": {"epochs": 3}, "seeds": [7]})
    spec = answer.json()["spec"]
    assert (spec["training"]["epochs"], spec["training"]["checkpoint_every"], spec["seeds"]) == (3, 10, [7])
    assert [objective["kind"] for objective in spec["objectives"]] == ["cross_entropy", "policy_gradient"]
    assert "preset" not in spec


@pytest.mark.parametrize("eps", ["8/255", 0.031, "0.031"])
def test_eps_is_kept_exactly(api: TestClient, tiny_document: dict[str, Any], eps: str | float) -> None:
    """8/255 stays a fraction and 0.031 a decimal."""
    answer = api.post("/v1/experiments", json=tiny_document | {"adversary": {"kind": "fgsm", "eps": eps}})
    assert answer.json()["spec"]["adversary"]["eps"] == str(eps)


def test_a_repeated_idempotency_key_returns_the_same_experiment(api: TestClient, tiny_document: dict[str, Any]) -> None:
    """The second POST stores nothing; the key with another body is a 422."""
    headers = {"Idempotency-Key": "abc"}
    first = api.post("/v1/experiments", json=tiny_document, headers=headers)
    second = api.post("/v1/experiments", json=tiny_document, headers=headers)
    assert second.status_code == 202
    assert second.json()["id"] == first.json()["id"]
    other = api.post("/v1/experiments", json=tiny_document | {"seeds": [1]}, headers=headers)
    assert (other.status_code, other.json()["type"]) == (422, "urn:gauntlet:problem:idempotency-conflict")
    assert len(api.get("/v1/experiments").json()["data"]) == 1


def test_an_experiment_may_start_from_a_checkpoint_that_fits(
    api: TestClient, trained_run: str, tiny_document: dict[str, Any]
) -> None:
    """It is accepted for images of the same shape, and named as a field's fault for others."""
    checkpoint = api.get("/v1/checkpoints", params={"run": trained_run}).json()["data"][0]["id"]
    tiny_document["training"]["initial_checkpoint"] = checkpoint
    accepted = api.post("/v1/experiments", json=tiny_document)
    assert accepted.status_code == 202
    assert accepted.json()["spec"]["training"]["initial_checkpoint"] == checkpoint
    refused = api.post("/v1/experiments", json=tiny_document | {"dataset": {"name": "cifar10"}})
    problem = refused.json()
    assert (refused.status_code, problem["type"]) == (422, "urn:gauntlet:problem:invalid-request")
    assert refused.headers["content-type"] == "application/problem+json"
    assert {error["pointer"] for error in problem["errors"]} == {"/training/initial_checkpoint"}
    model, classes = (error["message"] for error in problem["errors"])
    assert model.endswith("what is trained is a cnn for 3 × 32 × 32 images.")
    assert "only the initial checkpoint has 0, 1, 2, 3, 4 and 5 more; only the data set has airplane" in classes


def test_without_a_broker_an_experiment_is_still_accepted(
    settings: ServiceSettings, tiny_document: dict[str, Any]
) -> None:
    """The row is the queue: the POST answers 202 and the run waits."""
    lonely = settings.model_copy(update={"broker_url": "redis+socket:///nonexistent/broker.sock"})
    with TestClient(create_app(lonely)) as api:
        answer = api.post("/v1/experiments", json=tiny_document)
        assert answer.status_code == 202
        assert api.get("/v1/runs").json()["data"][0]["status"] == "queued"


def test_lists_are_cut_into_pages(api: TestClient, tiny_document: dict[str, Any]) -> None:
    """Following `next` visits every experiment once, newest first."""
    made = [api.post("/v1/experiments", json=tiny_document).json()["id"] for _ in range(5)]
    seen: list[str] = []
    after: str | None = None
    while True:
        page = api.get("/v1/experiments", params={"limit": 2} | ({"after": after} if after else {})).json()
        seen += [experiment["id"] for experiment in page["data"]]
        assert page["has_more"] == (page["next"] is not None)
        after = page["next"]
        if after is None:
            break
    assert seen == made[::-1]


def test_cancelling_twice_is_harmless(api: TestClient, tiny_document: dict[str, Any]) -> None:
    """A waiting experiment is cancelled at once, and stays so; then it can be deleted, once."""
    identifier = api.post("/v1/experiments", json=tiny_document).json()["id"]
    for _ in range(2):
        answer = api.post(f"/v1/experiments/{identifier}/cancel")
        assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    assert api.delete(f"/v1/experiments/{identifier}").content == b""
    assert api.delete(f"/v1/experiments/{identifier}").status_code == 404
    assert api.get("/v1/runs").json()["data"] == []


def test_what_is_paused_waits_until_it_is_resumed(api: TestClient, tiny_document: dict[str, Any]) -> None:
    """A whole experiment and a run of it; asked twice, nothing changes."""
    identifier = api.post("/v1/experiments", json=tiny_document).json()["id"]
    (run,) = api.get("/v1/runs", params={"experiment": identifier}).json()["data"]
    for place in (f"/v1/experiments/{identifier}", f"/v1/runs/{run['id']}"):
        for asked, status, reason in (("pause", "paused", "user"), ("resume", "queued", None)):
            for _ in range(2):
                answer = api.post(f"{place}/{asked}").json()
                assert (answer["status"], answer["status_reason"]) == (status, reason)


def test_a_priority_stands_beside_the_spec(api: TestClient, tiny_document: dict[str, Any]) -> None:
    """It is no part of it, can be changed, and is one of three."""
    asked = {"priority": "low", "keep": {"every": 2}}
    made = api.post("/v1/experiments", json=tiny_document | asked).json()
    assert (made["keep"], "keep" in made["spec"]) == ({"every": 2, "best": 1, "last": 1}, False)
    assert api.patch(f"/v1/experiments/{made['id']}", json={"keep": None}).json()["keep"] is None
    assert api.patch(f"/v1/experiments/{made['id']}", json={"keep": {"last": 0}}).status_code == 422
    assert (made["priority"], "priority" in made["spec"]) == ("low", False)
    place = f"/v1/experiments/{made['id']}"
    assert api.post(f"{place}/priority", json={"priority": "high"}).json()["priority"] == "high"
    assert [run["priority"] for run in api.get("/v1/runs").json()["data"]] == ["high"]
    refused = api.post(f"{place}/priority", json={"priority": "urgent"})
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/priority")


def test_an_unfinished_report_says_so(api: TestClient, tiny_document: dict[str, Any]) -> None:
    """Before anything is measured the report is empty and incomplete, in JSON and in Markdown."""
    identifier = api.post("/v1/experiments", json=tiny_document).json()["id"]
    report = api.get(f"/v1/experiments/{identifier}/report").json()
    assert (report["complete"], report["rows"]) == (False, [])
    markdown = api.get(f"/v1/experiments/{identifier}/report", params={"format": "md"})
    assert markdown.headers["content-type"].startswith("text/markdown")
    assert "this may change" in markdown.text


@pytest.mark.parametrize(
    ("format", "media_type", "told"),
    [
        ("json", "application/json", '"status":"queued"'),
        ("html", "text/html", "&lt;b&gt;tiny"),
        ("md", "text/markdown", "this may change"),
        ("csv", "text/csv", "experiment,run,objective"),
        ("tex", "application/x-tex", r"\paragraph"),
    ],
)
def test_a_report_has_five_forms(
    api: TestClient, tiny_document: dict[str, Any], format: str, media_type: str, told: str
) -> None:
    """Each comes under its own type; the page may load and run nothing, and what a user wrote stays text in it."""
    identifier = api.post("/v1/experiments", json=tiny_document | {"name": "<b>tiny"}).json()["id"]
    answer = api.get(f"/v1/experiments/{identifier}/report", params={"format": format})
    assert answer.status_code == 200
    assert answer.headers["content-type"].split(";")[0] == media_type
    assert told in answer.text
    if format == "html":
        allowed = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
        assert answer.headers["content-security-policy"] == allowed
    unknown = api.get(f"/v1/experiments/{identifier}/report", params={"format": "pdf"})
    assert unknown.status_code == 422


def test_a_figure_is_drawn_where_there_is_something_to_draw(api: TestClient, trained_run: str) -> None:
    """A trained run has its curves as SVG; what is not measured yet and an unknown name are 404 problems."""
    experiment = api.get(f"/v1/runs/{trained_run}").json()["experiment"]
    drawn = api.get(f"/v1/experiments/{experiment}/figures/training.svg")
    assert (drawn.status_code, drawn.headers["content-type"]) == (200, "image/svg+xml")
    assert "<svg " in drawn.text
    assert drawn.headers["content-security-policy"].startswith("default-src 'none'")
    for name, told in (("confusion", "nothing to draw"), ("pie", "training, gap, eps, certified, cost, confusion")):
        missing = api.get(f"/v1/experiments/{experiment}/figures/{name}.svg")
        assert (missing.status_code, missing.headers["content-type"]) == (404, "application/problem+json")
        assert told in missing.json()["detail"]


@pytest.mark.parametrize(
    "path",
    [
        "/v1/experiments/exp_none",
        "/v1/experiments/exp_none/report",
        "/v1/experiments/exp_none/figures/gap.svg",
        "/v1/runs/run_none",
        "/v1/checkpoints/x",
    ],
)
def test_an_unknown_id_is_a_404_problem(api: TestClient, path: str) -> None:
    """The answer names what is missing and carries the request's id."""
    answer = api.get(path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["request_id"] == answer.headers["x-request-id"]

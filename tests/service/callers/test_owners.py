"""Whose things are: shown to all who read, changed by their owner and by admins."""

from typing import Any, cast

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from gauntlet.spec.asked.webhooks import WebhookRequest
from gauntlet.spec.evaluations.evaluation import EvaluationRequest
from service.settings import ServiceSettings
from store import webhooks
from store.database import Database
from store.models import new_id
from store.storage import StoredFile
from store.subjects import checkpoints, datasets, evaluation_requests, results
from store.subjects.datasets import Received
from tests.evaluations import FGSM, card, elsewhere
from tests.service.logins import login
from tests.service.transport.test_origins import every_request, rows

# What a route reads before it looks whose the object is; a route that takes a body has its entry here.
BODIES: dict[tuple[str, str], Any] = {
    ("PATCH", "/v1/experiments/{experiment_id}"): {"notes": "mine"},
    ("PATCH", "/v1/checkpoints/{checkpoint_id}"): {"notes": "mine"},
    ("POST", "/v1/experiments/{experiment_id}/priority"): {"priority": "low"},
    ("POST", "/v1/evaluations/{evaluation_id}/priority"): {"priority": "low"},
}


@pytest.fixture
def callers(guarded: ServiceSettings) -> dict[str, dict[str, str]]:
    """The headers of two who submit, and of an admin."""
    return {
        "ada": login(guarded, "ada", "submit"),
        "bob": login(guarded, "bob", "submit"),
        "root": login(guarded, "root", "admin"),
    }


def made_by(
    api: TestClient, settings: ServiceSettings, document: dict[str, Any], owner: str | None, headers: dict[str, str]
) -> dict[str, str]:
    """One of each kind, by the name that paths have for its id."""
    experiment = api.post("/v1/experiments", json=document, headers=headers).json()["id"]
    (run,) = api.get("/v1/runs", params={"experiment": experiment}, headers=headers).json()["data"]
    database = Database(settings.database_url)
    with database.writing() as session:
        weights = StoredFile("path", "0" * 64, 1)
        checkpoint = checkpoints.add_imported(session, new_id("ckpt"), card("theirs"), weights, owner=owner).id
        request = EvaluationRequest.model_validate({"checkpoint": checkpoint, "attacks": [FGSM]})
        (evaluation,) = evaluation_requests.create(session, request, None, owner=owner).evaluations
        hook = webhooks.create(session, WebhookRequest(url="https://example.org/"), owner).id
        result = results.add(session, elsewhere(), owner=owner).id
        dataset = datasets.add(session, new_id("dset"), Received("theirs", "0" * 64, 1, owner=owner)).id
    database.close()
    return {
        "experiment_id": experiment,
        "run_id": run["id"],
        "checkpoint_id": checkpoint,
        "evaluation_id": evaluation.id,
        "dataset_id": dataset,
        "webhook_id": hook,
        "result_id": result,
    }


def changing_requests(api: TestClient) -> list[tuple[str, str]]:
    """Every route that changes what somebody owns, deleting last; walked, so that a new one is among them."""
    every = every_request(cast("FastAPI", api.app))
    changing = [(method, path) for method, path in every if method not in ("GET", "HEAD") and "{" in path]
    owned = [(method, path) for method, path in changing if not path.startswith("/v1/tokens")]
    return sorted(owned, key=lambda each: each[0] == "DELETE")


def ask(api: TestClient, method: str, path: str, ids: dict[str, str], headers: dict[str, str]) -> Any:
    return api.request(method, path.format(**ids), json=BODIES.get((method, path)), headers=headers)


def test_only_owners_and_admins_change(
    guarded_api: TestClient,
    guarded: ServiceSettings,
    tiny_document: dict[str, Any],
    callers: dict[str, dict[str, str]],
) -> None:
    """Another submitter is told whose it is, and nothing has changed; an admin and the owner are let through."""
    changing = changing_requests(guarded_api)
    assert len(changing) >= 3
    adas = made_by(guarded_api, guarded, tiny_document, "ada", callers["ada"])
    guarded_api.get("/v1/runs", headers=callers["bob"])
    before = rows(guarded)
    for method, path in changing:
        refused = ask(guarded_api, method, path, adas, callers["bob"])
        assert (refused.status_code, refused.json()["type"]) == (403, "urn:gauntlet:problem:not-yours"), (method, path)
        assert "is ada's. Only ada or an admin may change it." in refused.json()["detail"]
    assert rows(guarded) == before
    for caller in ("root", "ada"):
        ids = made_by(guarded_api, guarded, tiny_document, "ada", callers["ada"])
        for method, path in changing:
            allowed = ask(guarded_api, method, path, ids, callers[caller])
            assert allowed.status_code not in (401, 403, 422, 500), (caller, method, path, allowed.text)


def test_what_was_made_without_a_login_is_anybodys_who_may_submit(
    api: TestClient,
    guarded_api: TestClient,
    settings: ServiceSettings,
    tiny_document: dict[str, Any],
    callers: dict[str, dict[str, str]],
) -> None:
    """And where no login is asked for, everybody changes everything."""
    nobodys = made_by(api, settings, tiny_document, None, {})
    adas = made_by(guarded_api, settings, tiny_document, "ada", callers["ada"])
    for method, path in changing_requests(guarded_api):
        assert ask(guarded_api, method, path, nobodys, callers["bob"]).status_code not in (401, 403, 422, 500)
        assert ask(api, method, path, adas, {}).status_code not in (401, 403, 422, 500)


def test_owners_are_shown_to_all_who_read(
    api: TestClient,
    guarded_api: TestClient,
    guarded: ServiceSettings,
    tiny_document: dict[str, Any],
    callers: dict[str, dict[str, str]],
) -> None:
    """In each object and in lists; null where there was no login."""
    adas = made_by(guarded_api, guarded, tiny_document, "ada", callers["ada"])
    nobodys = api.post("/v1/experiments", json=tiny_document).json()
    assert nobodys["owner"] is None
    for name, identifier in adas.items():
        kind = name.removesuffix("_id")
        assert guarded_api.get(f"/v1/{kind}s/{identifier}", headers=callers["bob"]).json()["owner"] == "ada"
    listed = guarded_api.get("/v1/experiments", headers=callers["bob"]).json()["data"]
    assert [(each["id"], each["owner"]) for each in listed] == [
        (nobodys["id"], None),
        (adas["experiment_id"], "ada"),
    ]


def test_a_key_is_its_owners_own(
    guarded_api: TestClient, tiny_document: dict[str, Any], callers: dict[str, dict[str, str]]
) -> None:
    """The same Idempotency-Key of two owners makes two experiments, and each gets their own again."""
    made = {
        owner: guarded_api.post(
            "/v1/experiments", json=tiny_document | {"name": owner}, headers=headers | {"Idempotency-Key": "first"}
        )
        for owner, headers in callers.items()
    }
    assert {answer.status_code for answer in made.values()} == {202}
    assert len({answer.json()["id"] for answer in made.values()}) == 3
    for owner, headers in callers.items():
        again = guarded_api.post(
            "/v1/experiments", json=tiny_document | {"name": owner}, headers=headers | {"Idempotency-Key": "first"}
        )
        assert (again.json()["id"], again.json()["owner"]) == (made[owner].json()["id"], owner)

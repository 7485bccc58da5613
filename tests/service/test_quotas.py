"""Quotas over HTTP: which requests they hold for, with which status, and for whom."""

from typing import Any

import pytest
from fastapi.testclient import TestClient
from safetensors.torch import save

from gauntlet.models.architectures import build_model
from gauntlet.spec.runs.architectures import Cnn
from service.app import create_app
from service.settings import ServiceSettings
from store.database import Database
from store.models import new_id
from store.storage import StoredFile
from store.subjects import checkpoints
from tests.evaluations import FGSM, card
from tests.imports import write_import
from tests.service.logins import login
from tests.service.pictures.test_imports import CARD, post

_MODEL = build_model(Cnn(), (1, 16, 16), 10)
WEIGHTS = save({name: tensor.contiguous() for name, tensor in _MODEL.state_dict().items()})


@pytest.fixture
def callers(guarded: ServiceSettings) -> dict[str, dict[str, str]]:
    return {"ada": login(guarded, "ada", "submit"), "root": login(guarded, "root", "admin")}


def stored_checkpoint(settings: ServiceSettings) -> str:
    """One whose file is there."""
    identifier = new_id("ckpt")
    stored = write_import(settings.storage, identifier, b"weights")
    database = Database(settings.database_url)
    with database.writing() as session:
        checkpoints.add_imported(session, identifier, card("theirs"), stored)
    database.close()
    return identifier


def test_every_request_for_jobs_is_held_against_the_quota(
    guarded: ServiceSettings, callers: dict[str, dict[str, str]], tiny_document: dict[str, Any]
) -> None:
    """429 with the numbers and Retry-After; a repeat of what was taken is no further request."""
    ids = [stored_checkpoint(guarded) for _ in range(2)]
    with TestClient(create_app(guarded.model_copy(update={"quota_jobs": 2}))) as api:

        def ask(path: str, body: dict[str, Any], **headers: str) -> Any:
            return api.post(path, json=body, headers=callers["ada"] | headers)

        for key in ("one", "two", "two"):
            assert ask("/v1/experiments", tiny_document, **{"Idempotency-Key": key}).status_code == 202
        for path, body, asked in (
            ("/v1/experiments", tiny_document, 1),
            ("/v1/evaluations", {"checkpoint": ids[0], "attacks": [FGSM]}, 1),
            ("/v1/transfers", {"checkpoints": ids, "eps": "8/255"}, 2),
        ):
            refused = ask(path, body)
            assert (refused.status_code, refused.json()["type"]) == (429, "urn:gauntlet:problem:quota-exceeded"), path
            assert f"2 jobs of ada have not ended, and this asks for {asked} more; 2" in refused.json()["detail"]
            assert int(refused.headers["Retry-After"]) > 0
        never = ask("/v1/experiments", tiny_document | {"seeds": [0, 1, 2]})
        assert (never.status_code, never.json()["type"]) == (403, "urn:gauntlet:problem:quota-exceeded")


@pytest.mark.parametrize(("hold", "status"), [("on", 429), ("off", 202)])
def test_admins_are_held_to_quotas_unless_a_setting_says_otherwise(
    guarded: ServiceSettings,
    callers: dict[str, dict[str, str]],
    tiny_document: dict[str, Any],
    hold: str,
    status: int,
) -> None:
    """They too may leave a loop running."""
    settings = guarded.model_copy(update={"quota_jobs": 1, "quota_admins": hold})
    with TestClient(create_app(settings)) as api:
        answers = [
            api.post("/v1/experiments", json=tiny_document, headers=callers["root"]).status_code for _ in range(2)
        ]
    assert answers == [202, status]


def test_imports_are_held_against_bytes_and_uploads(settings: ServiceSettings, tiny_document: dict[str, Any]) -> None:
    """A refused import leaves neither row nor file; who has more than is allowed trains nothing more either."""
    held = settings.model_copy(update={"quota_bytes": 10, "quota_uploads": 1})
    with TestClient(create_app(held)) as api:
        refused = post(api, WEIGHTS, CARD)
        assert (refused.status_code, refused.json()["type"]) == (403, "urn:gauntlet:problem:quota-exceeded")
        assert "The files without an owner would take " in refused.json()["detail"]
        assert api.get("/v1/checkpoints").json()["data"] == []
        assert not any(settings.storage.root.rglob("*.safetensors"))
        assert api.post("/v1/experiments", json=tiny_document).status_code == 202
        database = Database(settings.database_url)
        with database.writing() as session:
            held.allowance_of(None).take_upload(session)
        again = post(api, WEIGHTS, CARD)
        assert (again.status_code, again.json()["type"]) == (429, "urn:gauntlet:problem:quota-exceeded")
        assert int(again.headers["Retry-After"]) > 86_000
        with database.writing() as session:
            checkpoints.add_imported(session, new_id("ckpt"), card("theirs"), StoredFile("path", "0" * 64, 11))
        database.close()
        assert api.post("/v1/experiments", json=tiny_document).status_code == 403

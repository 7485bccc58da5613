"""A checkpoint whose file is gone: whatever needs it is refused at once, and nothing is queued."""

import sqlite3
from contextlib import closing
from typing import Any

import pytest
from fastapi.testclient import TestClient

from service.settings import ServiceSettings
from store.database import Database
from store.storage import FolderStorage
from store.subjects import checkpoints


def test_what_needs_a_missing_file_is_refused(
    api: TestClient, settings: ServiceSettings, trained_run: str, tiny_document: dict[str, Any]
) -> None:
    """409 with the field that names it, whichever request does, and without a path of the server."""
    gone, there = (item["id"] for item in api.get("/v1/checkpoints", params={"run": trained_run}).json()["data"])
    lists = ("/v1/experiments", "/v1/evaluations")
    before = [api.get(page).json()["data"] for page in lists]
    transfer = {"kind": "transfer", "eps": "8/255", "source": gone}
    evaluation = tiny_document["evaluation"] | {"attacks": [transfer]}
    requests: list[tuple[str, str, dict[str, Any], str]] = [
        ("POST", "/v1/evaluations", {"json": {"checkpoint": gone}}, "/checkpoint"),
        ("POST", "/v1/evaluations", {"json": {"checkpoint": there, "attacks": [transfer]}}, "/attacks/0/source"),
        ("POST", "/v1/transfers", {"json": {"checkpoints": [there, gone], "eps": "8/255"}}, "/checkpoints/1"),
        (
            "POST",
            "/v1/experiments",
            {"json": tiny_document | {"training": {"epochs": 1, "initial_checkpoint": gone}}},
            "/training/initial_checkpoint",
        ),
        (
            "POST",
            "/v1/experiments",
            {"json": tiny_document | {"evaluation": evaluation}},
            "/evaluation/attacks/0/source",
        ),
        (
            "POST",
            "/v1/classifications",
            {"files": [("image", ("a.png", b"x", "image/png"))], "data": {"checkpoint": gone}},
            "/checkpoint",
        ),
        ("GET", f"/v1/checkpoints/{gone}/weights", {}, "/checkpoint_id"),
    ]
    database = Database(settings.database_url)
    with database.reading() as session:
        (settings.storage.root / checkpoints.get(session, gone).path).unlink()
    database.close()
    for method, path, body, pointer in requests:
        answer = api.request(method, path, **body)
        assert (answer.status_code, answer.json()["type"]) == (409, "urn:gauntlet:problem:weights-missing"), answer.text
        assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
        assert gone in answer.json()["detail"]
        assert str(settings.home) not in answer.text
    assert [api.get(page).json()["data"] for page in lists] == before


def test_the_storage_is_asked_while_others_may_write(
    api: TestClient,
    settings: ServiceSettings,
    trained_run: str,
    tiny_document: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Before the transaction that queues something, whichever request does; and not at all where it names none."""
    asked: list[str] = []

    def holds(_: FolderStorage, path: str) -> bool:
        with closing(sqlite3.connect(settings.database_url.removeprefix("sqlite:///"), timeout=10)) as other:
            other.execute("BEGIN IMMEDIATE")
            other.rollback()
        asked.append(path)
        return True

    monkeypatch.setattr(FolderStorage, "holds", holds)
    monkeypatch.setattr(FolderStorage, "require", lambda _: asked.append("whether it is there"))
    first, second = (item["id"] for item in api.get("/v1/checkpoints", params={"run": trained_run}).json()["data"])
    for path, body, requests in (
        ("/v1/evaluations", {"checkpoint": first}, 2),
        ("/v1/transfers", {"checkpoints": [first, second], "eps": "8/255"}, 3),
        ("/v1/experiments", tiny_document | {"training": {"epochs": 1, "initial_checkpoint": first}}, 2),
        ("/v1/experiments", tiny_document, 0),
    ):
        answer = api.post(path, json=body)
        assert answer.status_code == 202, answer.text
        assert len(asked) == requests
        asked.clear()

"""A checkpoint whose file is gone: whatever needs it is refused at once, and nothing is queued."""

from typing import Any

from fastapi.testclient import TestClient

from service.settings import ServiceSettings
from store.database import Database
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

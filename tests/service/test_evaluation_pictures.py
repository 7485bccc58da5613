"""Attacked pictures over HTTP: asked for within bounds, and downloaded once they are whole."""

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from service.settings import ServiceSettings
from store import pictures
from store.database import Database
from tests.evaluations import FGSM, finished, imported, queued


@pytest.fixture
def database(settings: ServiceSettings) -> Iterator[Database]:
    database = Database(settings.database_url)
    yield database
    database.close()


def test_pictures_are_downloaded_in_either_form(api: TestClient, settings: ServiceSettings, database: Database) -> None:
    """As the file is stored, under its digest; what is known already is not sent again."""
    evaluation = queued(database, imported(database, "one"), keep_images=2)
    finished(database, evaluation, natural=3, robust=1)
    stored = {form: settings.storage.write(f"{evaluation}/attempt-1/{form}", form.encode()) for form in pictures.FORMS}
    with database.writing() as session:
        pictures.publish(session, evaluation, stored)
    shown = api.get(f"/v1/evaluations/{evaluation}").json()["pictures"]
    assert [(file["format"], file["bytes"]) for file in shown] == [("npz", 3), ("png", 3)]
    for form, media in (("npz", "application/octet-stream"), ("png", "application/zip")):
        answer = api.get(f"/v1/evaluations/{evaluation}/pictures", params={"format": form})
        assert (answer.status_code, answer.content, answer.headers["content-type"]) == (200, form.encode(), media)
        assert answer.headers["etag"] == f'"{stored[form].sha256}"'
        known = {"If-None-Match": answer.headers["etag"]}
        again = api.get(f"/v1/evaluations/{evaluation}/pictures", params={"format": form}, headers=known)
        assert again.status_code == 304
    (settings.storage.root / stored["npz"].path).unlink()
    gone = api.get(f"/v1/evaluations/{evaluation}/pictures")
    assert (gone.status_code, gone.json()["type"]) == (409, "urn:gauntlet:problem:pictures-missing")


def test_pictures_are_deleted_alone(api: TestClient, settings: ServiceSettings, database: Database) -> None:
    """The evaluation stays, in another version; its pictures are gone for good, and an event says so."""
    evaluation = queued(database, imported(database, "one"), keep_images=2)
    at = f"/v1/evaluations/{evaluation}"
    early = api.delete(f"{at}/pictures")
    assert (early.status_code, early.json()["detail"]) == (
        409,
        f"The evaluation {evaluation} is queued; cancel it first.",
    )
    finished(database, evaluation, natural=3, robust=1)
    with database.writing() as session:
        npz = settings.storage.write(f"{evaluation}/attempt-1/npz", b"npz")
        pictures.publish(session, evaluation, {"npz": npz})
    before = api.get(at)
    assert api.delete(f"{at}/pictures").status_code == 204
    after = api.get(at)
    assert (before.json()["pictures"] != [], after.json()["pictures"]) == (True, [])
    assert before.headers["etag"] != after.headers["etag"]
    assert after.json()["outcome"] == before.json()["outcome"]
    for answer in (api.get(f"{at}/pictures"), api.delete(f"{at}/pictures")):
        assert answer.status_code == 409
        assert "were deleted; its numbers are still there" in answer.json()["detail"]
    assert [event["kind"] for event in api.get("/v1/events").json()["data"]][-1] == "pictures_deleted"


@pytest.mark.parametrize(("keep", "said"), [(0, "keeps no pictures"), (2, "is queued; its pictures are there once")])
def test_what_has_no_pictures_says_why(api: TestClient, database: Database, keep: int, said: str) -> None:
    evaluation = queued(database, imported(database, "one"), keep_images=keep)
    answer = api.get(f"/v1/evaluations/{evaluation}/pictures")
    assert answer.status_code == 409
    assert said in answer.json()["detail"]
    assert api.get(f"/v1/evaluations/{evaluation}/pictures", params={"format": "gif"}).status_code == 422


def refused(answer: Any) -> tuple[str, str]:
    assert answer.status_code == 422, answer.text
    (error,) = answer.json()["errors"]
    return error["pointer"], error["message"]


def test_more_pictures_than_are_kept_are_refused_before_anything_is_queued(
    api: TestClient, database: Database, tiny_document: dict[str, Any]
) -> None:
    """With how many fit; an experiment, which names no weights yet, by its data set's images."""
    checkpoint = imported(database, "large", side=128)
    attacks = [FGSM | {"eps": [f"{eps}/255" for eps in range(1, 6)]}]
    document = {"checkpoint": checkpoint, "attacks": attacks, "keep_images": 1_000}
    # 1,000 images of 128 × 128 bytes, and four times as many under each of five attacks: 328 MiB.
    pointer, message = refused(api.post("/v1/evaluations", json=document))
    assert pointer == "/keep_images"
    assert "take 328 MiB, and 128 are kept of an evaluation: those of 390 images" in message
    assert api.get("/v1/evaluations").json()["data"] == []
    assert refused(api.post("/v1/evaluations", json=document | {"keep_images": 1_001}))[0] == "/keep_images"
    tiny_document["evaluation"] |= {"keep_images": 1_000}
    assert api.post("/v1/experiments/validate", json=tiny_document).status_code == 200

"""Data sets over HTTP: uploaded, listed, looked at, used and deleted."""

import errno
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from gauntlet.data.sets.published import published
from gauntlet.spec.kinds import Mnist
from service.app import create_app
from service.settings import ServiceSettings
from store import events
from store.database import Database
from store.storage import Draft, FolderStorage, StorageAway
from store.subjects import datasets
from tests.packing import class_folders, two_splits, write_tar, write_zip
from tests.pictures import encoded
from tests.rights import of_modes, without_rights
from tests.uploads import packed, unpack
from worker.settings import WorkerSettings


def unpack_all(settings: ServiceSettings) -> None:
    database = Database(settings.database_url)
    unpack(database, WorkerSettings(home=settings.home, database_url=settings.database_url))
    database.close()


def upload(api: TestClient, content: bytes, **fields: Any) -> Any:
    return api.post("/v1/datasets", files={"archive": ("pets.tar", content)}, data={"name": "pets"} | fields)


def left(settings: ServiceSettings) -> list[str]:
    root = settings.home / "checkpoints"
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def _away(*_: object) -> bytes:
    raise StorageAway(errno.EHOSTUNREACH, "the store does not answer")


def test_an_archive_is_uploaded_unpacked_and_looked_at(
    api: TestClient, settings: ServiceSettings, tmp_path: Path
) -> None:
    """From 202 and `unpacking` to `ready` with all that is known of it, and pictures to look at."""
    answer = upload(api, packed(tmp_path), notes="from\nthe yard")
    assert answer.status_code == 202
    made = answer.json()
    place = answer.headers["Location"]
    assert place == f"/v1/datasets/{made['id']}"
    assert (made["status"], made["name"], made["classes"]) == ("unpacking", "pets", None)
    assert left(settings) == [f"{made['id']}/archive"]

    unpack_all(settings)
    shown = api.get(place).json()
    assert (shown["status"], shown["classes"], shown["train_images"], shown["test_images"]) == ("ready", 2, 8, 4)
    assert shown["notes"] == "from\nthe yard"
    assert shown["spec"] == {
        "name": "uploaded",
        "id": made["id"],
        "title": "pets",
        "image_size": 32,
        "fit": "stretch",
        "channels": "rgb",
        "train_samples": None,
    }
    assert shown["sizes"]["commonest"] == [12, 12]
    assert [each["label"] for each in shown["thumbnails"]] == ["cat"] * 3 + ["dog"] * 3
    picture = api.get(shown["thumbnails"][0]["path"])
    assert (picture.headers["Content-Type"], picture.headers["X-Content-Type-Options"]) == ("image/png", "nosniff")
    assert picture.content.startswith(b"\x89PNG")
    beyond = api.get(f"{place}/thumbnails/6.png")
    assert (beyond.status_code, beyond.json()["detail"]) == (404, f"The data set {made['id']} has no small picture 6.")
    with pytest.MonkeyPatch.context() as patched:
        # As of a bucket that does not answer.
        patched.setattr(FolderStorage, "read", _away)
        away = api.get(f"{place}/thumbnails/1.png")
        assert (away.status_code, away.headers["Retry-After"]) == (503, "2")
        assert away.json()["type"] == "urn:gauntlet:problem:storage-away"
    database = Database(settings.database_url)
    with database.reading() as session:
        told = events.page(session, subject=made["id"], after=None, limit=10).rows
    assert [event.kind for event in told] == ["unpacking", "ready"]
    database.close()


def test_the_same_archive_again_is_the_same_data_set(
    api: TestClient, settings: ServiceSettings, tmp_path: Path
) -> None:
    """Answered with 200, under whatever name, before and after it is unpacked; another split is another one."""
    content = write_zip(tmp_path / "pets.zip", class_folders(["cat", "dog"], 4)).read_bytes()
    first = upload(api, content, test_fraction=0.5)
    for name in ("pets", "other"):
        again = upload(api, content, name=name, test_fraction=0.5, seed=0)
        assert (again.status_code, again.json()["id"], again.json()["name"]) == (200, first.json()["id"], "pets")
        unpack_all(settings)
    other = upload(api, content, test_fraction=0.5, seed=1)
    assert other.status_code == 202
    assert other.json()["id"] != first.json()["id"]
    assert not list((settings.home / "checkpoints/incoming").iterdir())


def test_an_archive_whose_like_is_deleted_meanwhile_is_kept_while_others_may_write(
    api: TestClient, settings: ServiceSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To send it to a bucket may take minutes."""
    keep = FolderStorage.keep

    def kept(storage: FolderStorage, draft: Draft, path: str) -> None:
        with closing(sqlite3.connect(settings.database_url.removeprefix("sqlite:///"), timeout=10)) as other:
            other.execute("BEGIN IMMEDIATE")
            other.rollback()
        keep(storage, draft, path)

    monkeypatch.setattr(FolderStorage, "keep", kept)
    monkeypatch.setattr(datasets, "is_known", lambda *_: True)
    made = upload(api, packed(tmp_path))
    assert made.status_code == 202
    assert left(settings) == [f"{made.json()['id']}/archive"]


def test_other_archives_of_the_same_pictures_are_told_of(
    api: TestClient, settings: ServiceSettings, tmp_path: Path
) -> None:
    """Each is a data set of its own, with one digest; the same archive can be uploaded anew after it failed."""
    one = upload(api, packed(tmp_path)).json()
    two = upload(api, write_zip(tmp_path / "pets.zip", two_splits()).read_bytes()).json()
    failed = upload(api, b"no archive").json()
    unpack_all(settings)
    shown = [api.get(f"/v1/datasets/{each['id']}").json() for each in (one, two, failed)]
    assert shown[0]["sha256"] == shown[1]["sha256"]
    assert (shown[0]["same_as"], shown[1]["same_as"]) == ([two["id"]], [one["id"]])
    assert (shown[2]["status"], shown[2]["status_reason"]) == ("failed", "archive_refused")
    assert upload(api, b"no archive").status_code == 202


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"name": ""}, "/name"),
        ({"test_fraction": "1"}, "/test_fraction"),
        ({"test_fraction": "nan"}, "/test_fraction"),
        ({"test_fraction": "0.5", "seed": "-1"}, "/seed"),
        ({"seed": "1"}, "/seed"),
        ({"notes": "\0"}, "/notes"),
        ({"kind": "zip"}, "/kind"),
    ],
)
def test_faulty_fields_are_named_and_nothing_is_kept(
    api: TestClient, settings: ServiceSettings, fields: dict[str, str], pointer: str
) -> None:
    """Whatever came of the archive."""
    answer = upload(api, b"content", **fields)
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
    assert left(settings) == []


def test_an_archive_that_is_too_large_is_not_kept(settings: ServiceSettings) -> None:
    """It is refused by its own bound, and what came of it is deleted."""
    bounded = settings.model_copy(update={"max_dataset_bytes": 2_000_000})
    with TestClient(create_app(bounded)) as api:
        assert upload(api, bytes(1_900_000)).status_code == 202
        assert upload(api, bytes(2_100_000)).status_code == 413
    assert [path for path in left(settings) if path.startswith("incoming")] == []


@pytest.mark.parametrize(("quota", "status"), [({"quota_uploads": 1}, 429), ({"quota_bytes": 1_000}, 403)])
def test_an_upload_past_a_quota_leaves_nothing(settings: ServiceSettings, quota: dict[str, int], status: int) -> None:
    """The same archive again is no further upload."""
    with TestClient(create_app(settings.model_copy(update=quota))) as api:
        first = upload(api, bytes(600))
        assert [upload(api, content).status_code for content in (bytes(600), bytes(700))] == [200, status]
    assert left(settings) == [f"{first.json()['id']}/archive"]


def test_a_folder_that_may_not_be_read_is_left_out_of_the_list(
    settings: ServiceSettings, tiny_document: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """It keeps no other from being listed, is named in the log once, and who asks for it by name is told why."""
    for folder in ("closed", "open", "seen"):
        for name, content in two_splits().items():
            picture = settings.data_root / folder / name
            picture.parent.mkdir(parents=True, exist_ok=True)
            picture.write_bytes(content)
    (settings.data_root / "link").symlink_to(settings.data_root / "closed/train")
    (settings.data_root / "torchvision").mkdir()
    (settings.data_root / "CIFAR-10-C").mkdir()
    # What may only be listed holds files that may not be opened.
    modes = {"closed": 0, "seen": 0o400, "torchvision": 0, "CIFAR-10-C": 0}

    def asked() -> tuple[list[Any], list[Any]]:
        with TestClient(create_app(settings)) as api:
            wanted: list[dict[str, Any]] = [
                {"name": "image_folder", "folder": "closed"},
                {"name": "image_folder", "folder": "seen"},
                {"name": "parquet", "folder": "closed"},
                {"name": "cifar10_c", "corruption": "fog", "severity": 1},
            ]
            documents = [tiny_document | {"dataset": dataset} for dataset in wanted]
            return (
                [api.get("/v1/datasets") for _ in range(3)],
                [api.post("/v1/experiments", json=document) for document in documents],
            )

    with of_modes((settings.data_root / name, mode) for name, mode in modes.items()):
        lists, refusals = without_rights(asked)
    for listed in lists:
        assert [each["name"] for each in listed.json()["data"]] == ["digits", "open"]
    said = [record.getMessage() for record in caplog.records if record.name == "service.local_datasets"]
    assert said == [
        f"No data set is made of it: The folder {name} cannot be read: Permission denied."
        for name in ("CIFAR-10-C", "closed", "seen", "torchvision")
    ]
    told = [refusal.json()["errors"][0]["message"] for refusal in refusals]
    assert [message.split(".")[0] for message in told] == [
        "The folder closed cannot be read: Permission denied",
        "The folder seen cannot be read: Permission denied",
        "The folder closed cannot be read: Permission denied",
        "CIFAR-10-C's fog is not below the data root, and is not fetched",
    ]


def test_a_closed_data_root_is_told_again_once_it_could_be_read(
    settings: ServiceSettings, caplog: pytest.LogCaptureFixture
) -> None:
    """The list has the digits alone, and the log says why: once each time that it is closed."""
    (settings.data_root / "pictures").mkdir(parents=True)

    def asked() -> list[str]:
        with TestClient(create_app(settings)) as api:
            return [each["name"] for each in api.get("/v1/datasets").json()["data"]]

    try:
        for mode, names in ((0, ["digits"]), (0, ["digits"]), (0o700, ["digits", "pictures"]), (0, ["digits"])):
            settings.data_root.chmod(mode)
            assert without_rights(asked) == names
    finally:
        settings.data_root.chmod(0o700)
    said = [record.getMessage() for record in caplog.records if record.name == "service.local_datasets"]
    assert len(said) == 2
    assert all(str(settings.data_root) in each and "Permission denied" in each for each in said)


def test_the_list_has_uploads_and_what_lies_in_the_data_root(api: TestClient, settings: ServiceSettings) -> None:
    """Newest first, then digits and folders; page by page; each can be looked at by its id."""
    uploads = [upload(api, content).json()["id"] for content in (b"one", b"two")]
    for name in ("train/cat", "train/dog", "test/cat", "test/dog"):
        folder = settings.data_root / "my-images" / name
        folder.mkdir(parents=True)
        (folder / "0.png").write_bytes(encoded(Image.new("RGB", (9, 9))))
    for file in published(Mnist()).files:
        path = settings.data_root / "torchvision" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (settings.data_root / "hub/data").mkdir(parents=True)
    (settings.data_root / "hub/data/train-00000-of-00001.parquet").touch()
    (settings.data_root / "not one").mkdir()
    whole = api.get("/v1/datasets").json()
    assert [each["name"] for each in whole["data"]] == ["pets", "pets", "digits", "mnist", "hub", "my-images"]
    assert [each["id"] for each in whole["data"][:2]] == uploads[::-1]
    assert (whole["has_more"], whole["next"]) == (False, None)
    pages: list[Any] = []
    after: dict[str, Any] = {}
    while True:
        page = api.get("/v1/datasets", params={"limit": 1} | after).json()
        pages += page["data"]
        if not page["has_more"]:
            break
        after = {"after": page["next"]}
    assert pages == whole["data"]
    digits, mnist, hub, folder_shown = (api.get(f"/v1/datasets/{each['id']}").json() for each in whole["data"][2:])
    assert (digits["classes"], digits["train_images"], digits["test_images"]) == (10, 1_437, 360)
    assert (mnist["classes"], mnist["train_images"], mnist["test_images"]) == (10, 60_000, 10_000)
    assert (hub["spec"]["name"], hub["status"]) == ("parquet", "failed")
    assert "train-00000-of-00001.parquet is no Parquet" in hub["status_detail"]
    assert folder_shown["spec"]["folder"] == "my-images"
    assert (folder_shown["status"], folder_shown["classes"], folder_shown["train_images"]) == ("ready", 2, 2)
    assert api.get("/v1/datasets/local_0").status_code == 404
    assert api.delete(f"/v1/datasets/{digits['id']}").status_code == 404


def test_an_experiment_is_queued_on_an_upload_that_is_then_needed(
    api: TestClient, settings: ServiceSettings, tiny_document: dict[str, Any], tmp_path: Path
) -> None:
    """Faults of the data are told at their fields; what is needed is not deleted, and what is not goes at once."""
    waiting = upload(api, packed(tmp_path)).json()["id"]
    dataset = {"name": "uploaded", "id": waiting, "image_size": 16}
    document = tiny_document | {"dataset": dataset}
    told = api.post("/v1/experiments", json=document).json()["errors"]
    assert [(error["pointer"], "still being unpacked" in error["message"]) for error in told] == [("/dataset/id", True)]
    unpack_all(settings)
    too_many = api.post("/v1/experiments", json=document | {"dataset": dataset | {"train_samples": 9}})
    assert [error["pointer"] for error in too_many.json()["errors"]] == ["/dataset/train_samples"]
    queued = api.post("/v1/experiments", json=document)
    assert queued.status_code == 202
    assert queued.json()["spec"]["dataset"]["title"] == "pets"
    refused = api.delete(f"/v1/datasets/{waiting}")
    assert refused.status_code == 409
    assert queued.json()["id"] in refused.json()["detail"]

    other = upload(api, write_tar(tmp_path / "other.tar", class_folders(["a", "b"], 2)).read_bytes()).json()["id"]
    assert api.delete(f"/v1/datasets/{other}").status_code == 204
    assert api.get(f"/v1/datasets/{other}").status_code == 404
    assert api.delete(f"/v1/datasets/{other}").status_code == 404

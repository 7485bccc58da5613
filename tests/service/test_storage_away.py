"""A storage that is away, refuses or is read-only: 503 that names it and says why, and the service lives on."""

import errno
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import s3fs
from fastapi.testclient import TestClient

from service import local_datasets, readiness
from service.answering import disks
from service.app import THREADS, create_app
from service.settings import ServiceSettings
from store.storage import FolderStorage
from tests.e2e.system import await_that
from tests.object_store import ObjectStore
from tests.rights import mounted_at, of_mode, without_rights
from tests.service.conftest import require_documented
from tests.service.test_datasets import upload
from tests.uploads import packed

Fault = Callable[[ObjectStore], AbstractContextManager[None]]


@pytest.fixture
def on_a_bucket(object_store: ObjectStore, settings: ServiceSettings) -> Iterator[ServiceSettings]:
    object_store.bucket("service")
    s3fs.S3FileSystem.clear_instance_cache()
    yield settings.model_copy(update={"storage_url": "s3://service/team"})
    s3fs.S3FileSystem.clear_instance_cache()


@contextmanager
def wrong_secret(_: ObjectStore) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_SECRET_ACCESS_KEY", "another-secret")
        s3fs.S3FileSystem.clear_instance_cache()
        yield


@contextmanager
def no_bucket(store: ObjectStore) -> Iterator[None]:
    bucket = store.folder / "service"
    aside = bucket.with_name("aside")
    bucket.rename(aside)
    # What folders hold it keeps in mind.
    store.stop()
    store.start()
    try:
        yield
    finally:
        aside.rename(bucket)
        store.stop()
        store.start()


@contextmanager
def nobody_there(store: ObjectStore) -> Iterator[None]:
    store.stop()
    try:
        yield
    finally:
        store.start()


def told(answer: Any) -> tuple[int, str, str, str]:
    require_documented(answer)
    body = answer.json()
    return answer.status_code, body["type"].rpartition(":")[2], body["detail"], answer.headers["retry-after"]


@pytest.mark.parametrize(
    ("fault", "kind", "why"),
    [
        (wrong_secret, "storage-refused", "(the store answers SignatureDoesNotMatch)"),
        (no_bucket, "storage-refused", "(the bucket is not there)"),
        (nobody_there, "storage-away", "does not answer now"),
    ],
)
def test_what_needs_the_bucket_is_refused_and_says_why(
    fault: Fault,
    kind: str,
    why: str,
    object_store: ObjectStore,
    on_a_bucket: ServiceSettings,
    tmp_path: Path,
    tiny_document: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """/readyz too, without a key or an address; what needs rows alone is answered; then all is as before."""
    monkeypatch.setattr(readiness, "_STORAGE_FRESH_S", 0.0)
    # As long as a busy machine may take.
    monkeypatch.setattr(readiness, "_STORAGE_PATIENCE_S", 90.0)
    monkeypatch.setattr(ServiceSettings, "_storage_answer_s", 90.0)
    monkeypatch.setattr(ServiceSettings, "_storage_patience_s", 0.0)
    with TestClient(create_app(on_a_bucket), raise_server_exceptions=False) as api:
        assert api.get("/readyz").status_code == 200
        content = packed(tmp_path)
        with fault(object_store):
            await_that(lambda: api.get("/readyz").status_code == 503)
            asked = [upload(api, content), api.get("/readyz")]
            for answer in asked:
                status, problem, detail, retry_after = told(answer)
                assert (status, problem, retry_after) == (503, kind, "2")
                assert why in detail
                assert detail.startswith("The service's storage ")
                assert not any(
                    secret in answer.text for secret in (*object_store.environment.values(), "another-secret")
                )
            assert api.get("/healthz").status_code == 200
            assert api.post("/v1/experiments", json=tiny_document).status_code == 202
            kept = [each["id"] for each in api.get("/v1/datasets").json()["data"]]
            assert not any(identifier.startswith("dset_") for identifier in kept)
        await_that(lambda: api.get("/readyz").status_code == 200)
        assert upload(api, content).status_code == 202


def test_a_read_only_folder_is_no_full_one(settings: ServiceSettings, tmp_path: Path) -> None:
    """Nothing is ready where nothing can be written, and an upload is told that it is the operator's to mend."""
    mounted = settings.home / "checkpoints"
    mounted.mkdir()
    with (
        mounted_at(mounted, ["-t", "tmpfs", "-o", "ro", "tmpfs"]),
        TestClient(create_app(settings), raise_server_exceptions=False) as api,
    ):
        for answer in (upload(api, packed(tmp_path)), api.get("/readyz")):
            status, problem, detail, _ = told(answer)
            assert (status, problem) == (503, "storage-refused")
            assert "(Read-only file system)" in detail
            assert str(mounted) not in answer.text


def test_a_folder_of_another_user_is_told_as_that(settings: ServiceSettings, tmp_path: Path) -> None:
    """To who uploads, and to who asks whether the service is ready."""
    checkpoints = settings.home / "checkpoints"
    checkpoints.mkdir()
    content = packed(tmp_path)

    def asked() -> list[Any]:
        with TestClient(create_app(settings), raise_server_exceptions=False) as api:
            return [upload(api, content), api.get("/readyz")]

    with of_mode(0o500, checkpoints):
        answers = without_rights(asked)
    for answer in answers:
        status, problem, detail, _ = told(answer)
        assert (status, problem) == (503, "storage-refused")
        assert "(Permission denied)" in detail


def test_what_may_not_be_read_elsewhere_is_a_fault_of_ours(
    settings: ServiceSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is told to mend the storage, or to come again, for a file that has nothing to do with it."""

    def may_not(_: Path) -> list[str]:
        raise PermissionError(errno.EACCES, "Permission denied", "/etc/ssl/openssl.cnf")

    monkeypatch.setattr(local_datasets, "folders_in", may_not)
    with TestClient(create_app(settings), raise_server_exceptions=False) as api:
        answer = api.get("/v1/datasets")
        assert (answer.status_code, answer.json()["type"]) == (500, "urn:gauntlet:problem:internal-error")
        assert api.get("/readyz").status_code == 200


def test_a_storage_that_says_nothing_holds_up_nobody_who_asks_again(
    settings: ServiceSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder of a network may hang for good: /readyz tells so after its patience, and then at once."""
    monkeypatch.setattr(readiness, "_STORAGE_PATIENCE_S", 0.2)
    monkeypatch.setattr(FolderStorage, "look", lambda _: time.sleep(3))
    with TestClient(create_app(settings), raise_server_exceptions=False) as api:
        for _ in range(3):
            assert told(api.get("/readyz"))[:2] == (503, "storage-away")


def test_a_look_that_hangs_has_one_thread(settings: ServiceSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often it is asked, no other look begins meanwhile; what it says in the end counts."""
    monkeypatch.setattr(readiness, "_STORAGE_PATIENCE_S", 0.05)
    monkeypatch.setattr(readiness, "_STORAGE_FRESH_S", 0.0)
    monkeypatch.setattr(readiness, "_STORAGE_OLD_S", 0.0)
    hanging, before = Event(), threading.enumerate()
    monkeypatch.setattr(FolderStorage, "look", lambda _: hanging.wait(60))
    with TestClient(create_app(settings), raise_server_exceptions=False) as api:
        for _ in range(10):
            assert told(api.get("/readyz"))[:2] == (503, "storage-away")
        looks = [thread for thread in threading.enumerate() if thread.name == "look at the storage"]
        assert [thread.daemon for thread in looks if thread not in before] == [True]
        hanging.set()
        await_that(lambda: api.get("/readyz").status_code == 200)


def test_a_disk_that_hangs_holds_up_no_list_and_no_scrape(
    settings: ServiceSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network's folder that never says how much room it has: all else is told, and it has one thread for each."""
    monkeypatch.setattr(disks, "_PATIENCE_S", 0.2)
    hanging, before = Event(), threading.enumerate()
    real = shutil.disk_usage

    def hang(path: Any) -> Any:
        hanging.wait(30)
        return real(path)

    monkeypatch.setattr(shutil, "disk_usage", hang)
    with TestClient(create_app(settings), raise_server_exceptions=False) as api:
        for _ in range(3):
            usage = api.get("/v1/usage")
            assert (usage.status_code, usage.json()["disk"], usage.json()["queue"]["waiting"]) == (200, None, 0)
            assert api.get("/v1/experiments").status_code == 200
            scraped = api.get("/metrics").text
            assert "gauntlet_database_up 1.0" in scraped
            assert "gauntlet_disk_free_bytes{" not in scraped
        asking = [
            each.name for each in threading.enumerate() if each not in before and each.name.startswith("room in ")
        ]
        assert len(asking) == len(set(asking)) > 1
        hanging.set()
        await_that(lambda: api.get("/v1/usage").json()["disk"] is not None)
        await_that(lambda: "gauntlet_disk_free_bytes{" in api.get("/metrics").text)


def test_a_data_root_that_hangs_holds_up_no_other_request(
    settings: ServiceSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More often than the server has threads it is asked for: the digits are listed, and what lies there is a 503."""
    monkeypatch.setattr(local_datasets, "_PATIENCE_S", 0.2)
    hanging, before = Event(), threading.enumerate()
    (settings.data_root / "pets").mkdir(parents=True)

    def hang(_: Path) -> list[str]:
        hanging.wait(30)
        return ["pets"]

    monkeypatch.setattr(local_datasets, "folders_in", hang)
    with TestClient(create_app(settings), raise_server_exceptions=False) as api:
        for _ in range(THREADS + 1):
            (digits,) = api.get("/v1/datasets").json()["data"]
            assert (digits["name"], api.get(f"/v1/datasets/{digits['id']}").status_code) == ("digits", 200)
            assert api.get("/v1/datasets/local_0").status_code == 503
        asking = [each.name for each in threading.enumerate() if each not in before]
        assert asking.count("look at the data root") == 1
        hanging.set()
        await_that(lambda: [each["name"] for each in api.get("/v1/datasets").json()["data"]] == ["digits", "pets"])
        assert api.get("/v1/datasets/local_0").status_code == 404


@pytest.mark.parametrize("fault", [OSError(errno.ESTALE, "Stale file handle"), ValueError("no such region")])
def test_whatever_a_look_meets_is_no_storage_that_answers(
    fault: Exception, settings: ServiceSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault that is nobody's refusal is a storage that is away, whoever asks first."""

    def look(_: FolderStorage) -> None:
        raise fault

    monkeypatch.setattr(FolderStorage, "look", look)
    with TestClient(create_app(settings), raise_server_exceptions=False) as api:
        for _ in range(2):
            assert told(api.get("/readyz"))[:2] == (503, "storage-away")

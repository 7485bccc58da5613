"""An archive whose storage is at fault waits and says why; one that is lost or damaged in it fails, in the end."""

import errno
import queue
from pathlib import Path
from typing import Any

import pytest
import s3fs

from store import dataset_files, files
from store.database import Database
from store.models import Dataset
from store.queue.jobs import MOST_CRASHES
from store.subjects import datasets
from tests.object_store import ObjectStore
from tests.rights import of_mode, without_rights
from tests.uploads import packed, receive, unpack
from worker.beside import unpacking_process
from worker.beside.sweeper import sweep
from worker.settings import WorkerSettings

Told = queue.SimpleQueue[dict[str, Any]]
REFUSED = "The storage refuses the service: Permission denied. The data set goes on when its operator has mended that."


@pytest.fixture
def on_a_bucket(object_store: ObjectStore, settings: WorkerSettings) -> WorkerSettings:
    object_store.bucket("archives")
    return settings.model_copy(update={"storage_url": "s3://archives/team"})


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    """What the process that unpacks is taken to have said."""
    said = Told()
    monkeypatch.setattr(unpacking_process, "told_by", lambda _: said)
    return said


def row_of(database: Database, identifier: str) -> Dataset:
    """The row as it is; its archive may be taken up again at once."""
    with database.writing() as session:
        row = datasets.get(session, identifier)
        row.lease_expires_at = None if row.status != "unpacking" else 0.0
        return row


def assert_it_waits(database: Database, identifier: str, why: str = "Permission denied") -> None:
    """For the storage, with no attempt counted, and its user reads why."""
    row = row_of(database, identifier)
    assert (row.status, row.status_reason, row.crashes) == ("unpacking", "storage", 0)
    assert row.status_detail == REFUSED.replace("Permission denied", why)


def test_refused_credentials_are_waited_for(
    database: Database, on_a_bucket: WorkerSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long that takes; its user reads why, and once they are mended it is unpacked."""
    identifier = receive(database, on_a_bucket.storage, packed(tmp_path))
    with monkeypatch.context() as environment:
        environment.setenv("AWS_SECRET_ACCESS_KEY", "another-secret")
        s3fs.S3FileSystem.clear_instance_cache()
        for _ in range(MOST_CRASHES + 1):
            unpack(database, on_a_bucket)
            assert_it_waits(database, identifier, "the store answers Forbidden")
    s3fs.S3FileSystem.clear_instance_cache()
    unpack(database, on_a_bucket)
    assert row_of(database, identifier).status == "ready"


def test_a_folder_that_takes_nothing_is_waited_for(
    database: Database, settings: WorkerSettings, tmp_path: Path
) -> None:
    """What the process that unpacks is told there is the storage's refusal too."""
    identifier = receive(database, settings.storage, packed(tmp_path))
    with of_mode(0o500, settings.home / "checkpoints" / identifier):
        without_rights(lambda: unpack(database, settings))
    assert_it_waits(database, identifier)
    unpack(database, settings)
    assert row_of(database, identifier).status == "ready"


def test_a_scratch_that_takes_no_folder_is_waited_for(
    database: Database, on_a_bucket: WorkerSettings, tmp_path: Path
) -> None:
    """However often: there the system names the folder above an attempt's, which is to be made with it."""
    identifier = receive(database, on_a_bucket.storage, packed(tmp_path))
    making = dataset_files.workplace(on_a_bucket.storage, identifier, 1).parents[1]
    making.mkdir(parents=True)
    with of_mode(0o500, making):
        for _ in range(MOST_CRASHES + 1):
            without_rights(lambda: unpack(database, on_a_bucket))
            assert_it_waits(database, identifier)
    unpack(database, on_a_bucket)
    assert row_of(database, identifier).status == "ready"


@pytest.mark.parametrize(
    ("number", "why", "above"),
    [
        (errno.EACCES, "Permission denied", 1),
        (errno.EACCES, "Permission denied", 2),
        (errno.EROFS, "Read-only file system", None),
    ],
)
def test_what_the_process_was_told_in_the_storage_is_waited_for(
    number: int,
    why: str,
    above: int | None,
    told: Told,
    database: Database,
    settings: WorkerSettings,
    tmp_path: Path,
) -> None:
    """Of the data set's own folder, of the root above, and where only what it had opened is to be read only."""
    identifier = receive(database, settings.storage, packed(tmp_path))
    path = None
    if above is not None:
        path = str(dataset_files.workplace(settings.storage, identifier, 1).parents[above - 1])
    for _ in range(MOST_CRASHES + 1):
        told.put({"storage": why, "errno": number, "path": path})
        unpack(database, settings)
        assert_it_waits(database, identifier, why)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM])
@pytest.mark.parametrize("path", ["/etc/fonts/fonts.conf", None])
def test_what_the_process_may_not_do_elsewhere_is_no_matter_of_the_storage(
    path: str | None,
    number: int,
    told: Told,
    database: Database,
    settings: WorkerSettings,
    tmp_path: Path,
) -> None:
    """It is tried three times, as any file; nobody is sent to mend the storage. Without a path it may be anything's."""
    identifier = receive(database, settings.storage, packed(tmp_path))
    for crashes in range(1, MOST_CRASHES + 1):
        told.put({"storage": "Permission denied", "errno": number, "path": path})
        unpack(database, settings)
        row = row_of(database, identifier)
        assert (row.status_reason, row.crashes) == ("storage", crashes)
        assert row.status_detail == (
            "A file of the data set could not be read or written: Permission denied. Its worker's log says which."
        )
    assert row.status == "failed"


@pytest.mark.parametrize("fault", ["lost", "damaged"])
def test_an_archive_that_is_not_there_any_more_fails(
    fault: str, database: Database, on_a_bucket: WorkerSettings, object_store: ObjectStore, tmp_path: Path
) -> None:
    """At the third attempt, for nothing mends it; it was tried again for good."""
    identifier = receive(database, on_a_bucket.storage, packed(tmp_path))
    archive = object_store.folder / "archives/team" / identifier / "archive"
    if fault == "damaged":
        archive.write_bytes(archive.read_bytes()[:-1] + b"x")
    else:
        on_a_bucket.storage.delete(f"{identifier}/archive")
    for crashes in range(1, MOST_CRASHES + 1):
        unpack(database, on_a_bucket)
        row = row_of(database, identifier)
        assert (row.status_reason, row.crashes) == ("storage", crashes)
        assert row.status == ("failed" if crashes == MOST_CRASHES else "unpacking")
        assert (row.status_detail or "").startswith("A file of the data set could not be read or written: ")


def test_where_the_whole_storage_is_away_no_archive_is_lost(
    database: Database, settings: WorkerSettings, tmp_path: Path
) -> None:
    """A folder that is not mounted has no file either; what was uploaded is not given up for that."""
    identifier = receive(database, settings.storage, packed(tmp_path))
    there = settings.home / "checkpoints"
    away = there.rename(there.with_name("away"))
    for _ in range(MOST_CRASHES + 1):
        unpack(database, settings)
        row = row_of(database, identifier)
        assert (row.status, row.status_reason, row.crashes) == ("unpacking", "storage", 0)
        assert (row.status_detail or "").startswith("The storage is away: ")
    away.rename(there)
    unpack(database, settings)
    assert row_of(database, identifier).status == "ready"


def test_what_an_abandoned_attempt_sent_otherwise_goes(
    database: Database, on_a_bucket: WorkerSettings, object_store: ObjectStore, tmp_path: Path
) -> None:
    """With what unpacking leaves; and by the sweeper where it came after that."""
    storage = on_a_bucket.storage
    content = object_store.folder / "archives/team" / receive(database, storage, packed(tmp_path)) / "content"
    identifier = content.parent.name

    def send_otherwise() -> None:
        images = dataset_files.workplace(storage, identifier, 7) / "images"
        images.mkdir(parents=True, exist_ok=True)
        (images / "0.png").write_bytes(b"of another version")
        dataset_files.prepare(storage, identifier, 7)

    send_otherwise()
    unpack(database, on_a_bucket)
    (published,) = content.glob("*.tar")
    send_otherwise()
    assert len(list(content.glob("*.tar"))) == 2
    sweep(database, storage, events_days=30, audit_days=30, retry_days=7)
    assert list(content.glob("*.tar")) == [published]
    assert (dataset_files.fetch(storage, identifier) / identifier / "content/images/train/cat/0.png").is_file()


def test_the_mark_of_what_is_sent_for_hours_is_never_old(
    settings: WorkerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that no sweeper takes it for left behind; afterwards nothing renews it."""
    storage = settings.storage
    monkeypatch.setattr(files, "GRACE_S", 0.06)
    mark = settings.home / "checkpoints/dset_a/unrecorded"
    with files.marked(storage, "dset_a"):
        made = mark.stat().st_mtime_ns
        while mark.stat().st_mtime_ns == made:
            pass
    files.settle(storage, "dset_a")
    assert not mark.exists()

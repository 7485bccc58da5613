"""Files of data sets that nobody has any more go, with or without a row, and rows only after their files."""

import os
from pathlib import Path

from store import dataset_files
from store.database import Database
from store.models import Dataset
from store.queue import unpacking
from store.subjects import datasets
from tests.packing import class_folders
from tests.uploads import left, packed, receive, uploaded
from worker.beside.sweeper import sweep
from worker.settings import WorkerSettings

HOURS_AGO = 0.0


def test_what_a_dead_worker_sent_of_a_deleted_data_set_is_found(
    sqlite_url: str, settings: WorkerSettings, tmp_path: Path
) -> None:
    """It may come after the sweeper was there: the row stays for an hour, as long as that looks again."""
    database, storage = Database(sqlite_url), settings.storage
    identifier = receive(database, storage, packed(tmp_path))
    with database.writing() as session:
        assert unpacking.claim_next(session, "dead", 15) is not None
        datasets.delete(session, identifier)
    for deleted_at in (None, 0.0):
        if deleted_at is not None:
            with database.writing() as session:
                session.get_one(Dataset, identifier).deleted_at = deleted_at
        sweep(database, storage, events_days=30, audit_days=30, retry_days=7)
        assert left(storage, identifier) == set()
        with database.reading() as session:
            assert (session.get(Dataset, identifier) is None) == (deleted_at is not None)
        storage.write(f"{identifier}/content/sent.tar", b"late")
    database.close()


def test_a_data_set_whose_files_cannot_be_deleted_is_tried_again(
    sqlite_url: str, settings: WorkerSettings, tmp_path: Path
) -> None:
    """Its row stays until they are gone, and nothing else waits for them."""
    database, storage = Database(sqlite_url), settings.storage
    stuck, other = (uploaded(database, settings, packed(tmp_path)) for _ in range(2))
    with database.writing() as session:
        for identifier in (stuck, other):
            datasets.delete(session, identifier)
    # No folder, and so it is not deleted as one.
    (storage.root / stuck).rename(tmp_path / "linked")
    (storage.root / stuck).symlink_to(tmp_path / "linked")
    for rows in ([stuck], []):
        sweep(database, storage, events_days=30, audit_days=30, retry_days=7)
        with database.reading() as session:
            assert datasets.deleted(session) == rows
        (storage.root / stuck).unlink(missing_ok=True)
    database.close()


def test_a_deleted_data_set_goes_with_its_files(sqlite_url: str, settings: WorkerSettings, tmp_path: Path) -> None:
    """At the sweeper's next look; one of another database on the same storage stays."""
    database = Database(sqlite_url)
    identifier = uploaded(database, settings, packed(tmp_path))
    kept = uploaded(database, settings, packed(tmp_path, class_folders(["train/a", "test/a", "train/b", "test/b"], 2)))
    unknown = settings.storage.root / "dset_of_another" / "content/images"
    unknown.mkdir(parents=True)
    with database.writing() as session:
        datasets.delete(session, identifier)
    for _ in range(2):
        sweep(database, settings.storage, events_days=30, audit_days=30, retry_days=7)
        assert {path.name for path in settings.storage.root.iterdir()} == {kept, "dset_of_another", "incoming"}
    with database.reading() as session:
        assert datasets.statuses(session, [identifier, kept]) == {kept: "ready"}
    database.close()


def test_uploads_that_were_never_recorded_are_swept(sqlite_url: str, settings: WorkerSettings, tmp_path: Path) -> None:
    """After an hour: what was being received, and what was kept without a row. What unpacking left goes at once."""
    database, storage = Database(sqlite_url), settings.storage
    for age in ("old", "fresh"):
        incoming = dataset_files.Incoming(storage)
        incoming.keep(storage, f"dset_{age}")
        incoming.close()
        (storage.root / "incoming" / age).write_bytes(b"a part")
        if age == "old":
            for path in storage.root.rglob("*"):
                os.utime(path, (HOURS_AGO, HOURS_AGO))
    ready = uploaded(database, settings, packed(tmp_path))
    (storage.root / ready / "attempt-7").mkdir()
    sweep(database, storage, events_days=30, audit_days=30, retry_days=7)
    assert {path.name for path in storage.root.glob("dset_*")} == {"dset_fresh", ready}
    assert len(list((storage.root / "incoming").iterdir())) == 1
    assert {path.name for path in (storage.root / ready).iterdir()} == {"content"}
    database.close()

"""What no row needs is deleted, and nothing else, on both databases."""

import errno
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from gauntlet.data.decoded.decoded_cache import DecodedCache
from gauntlet.spec.experiment import ExperimentSpec
from store import files
from store.database import Database
from store.models import DiscardedFolder, Event, Run
from store.queue import jobs, retries
from store.queue.jobs import Claim
from store.storage import FolderStorage, StorageAway, StoredFile
from store.subjects import checkpoints, experiments, runs
from tests.evaluations import card
from tests.imports import write_import
from worker.beside.sweeper import sweep

HOURS_AGO = time.time() - 7200


@pytest.fixture
def storage(tmp_path: Path) -> FolderStorage:
    return FolderStorage(tmp_path / "checkpoints")


def begun(database: Database, spec: ExperimentSpec, storage: FolderStorage) -> Claim:
    """A claimed run with a training state and two files that it has not recorded."""
    with database.writing() as session:
        _, (run,) = experiments.create(session, spec, None)
        held = jobs.claim(session, "run", run, "worker", 60)
    assert held is not None
    folder = files.attempt_folder(held)
    state = storage.write(f"{folder}/state", b"content")
    with database.writing() as session:
        runs.record_state(session, held, state)
    for name in ("weights", "weights.partial"):
        storage.write(f"{folder}/{name}", b"content")
    return held


def left(storage: FolderStorage) -> set[str]:
    return {str(file.relative_to(storage.root)) for file in storage.root.rglob("*") if file.is_file()}


@pytest.mark.parametrize("end", ["failed", "cancelled"])
def test_a_run_that_ended_leaves_its_checkpoints_only(
    database: Database, tiny_spec: ExperimentSpec, storage: FolderStorage, end: jobs.EndStatus
) -> None:
    """What its attempts left is deleted at once, its training state once it is too late for a retry.

    A run that goes on, or is unknown, keeps all.
    """
    ended, running = begun(database, tiny_spec, storage), begun(database, tiny_spec, storage)
    unknown = storage.write("run_of_another_database/attempt-1/weights", b"content")
    folder = files.attempt_folder(ended)
    with database.writing() as session:
        kept_file = StoredFile(f"{folder}/weights", "0" * 64, 7)
        checkpoints.add_imported(session, "ckpt_kept", card("kept"), kept_file)
        jobs.finish(session, ended, end)
    kept = {f"{folder}/weights", unknown.path}
    kept |= {f"{files.attempt_folder(running)}/{name}" for name in ("state", "weights", "weights.partial")}
    sweep(database, storage, events_days=30, audit_days=30, retry_days=7)
    assert left(storage) == kept | {f"{folder}/state"}
    for _ in range(2):
        sweep(database, storage, events_days=30, audit_days=30, retry_days=0)
        assert left(storage) == kept
    with database.reading() as session:
        assert runs.get(session, ended.id).resume_path is None
        assert runs.get(session, running.id).resume_path is not None


def test_the_state_that_a_retry_goes_on_from_stays(
    database: Database, tiny_spec: ExperimentSpec, storage: FolderStorage
) -> None:
    """It lies in the folder of a run that ended, and is another's now; of one that diverged it is kept for nobody."""
    failed, diverged = begun(database, tiny_spec, storage), begun(database, tiny_spec, storage)
    with database.writing() as session:
        jobs.finish(session, failed, "failed", "out_of_memory")
        jobs.finish(session, diverged, "failed", "diverged")
        retries.retry_run(session, failed.id, None)
    sweep(database, storage, events_days=30, audit_days=30, retry_days=0)
    assert left(storage) == {f"{files.attempt_folder(failed)}/state"}


def test_an_import_that_was_never_recorded_is_deleted(database: Database, storage: FolderStorage) -> None:
    """After an hour without a row its file goes; one with a row, of this minute, or of another database stays."""
    for name in ("ckpt_orphan", "ckpt_recorded", "ckpt_fresh"):
        stored = write_import(storage, name, b"content")
        if name == "ckpt_recorded":
            with database.writing() as session:
                checkpoints.add_imported(session, name, card(name), stored)
        if name != "ckpt_fresh":
            for file in (storage.root / name).iterdir():
                os.utime(file, (HOURS_AGO, HOURS_AGO))
    write_import(storage, "ckpt_of_another_database", b"content")
    files.settle(storage, "ckpt_of_another_database")
    for _ in range(2):
        sweep(database, storage, events_days=30, audit_days=30, retry_days=7)
        assert left(storage) == {
            "ckpt_recorded/weights.safetensors",
            "ckpt_fresh/unrecorded",
            "ckpt_fresh/weights.safetensors",
            "ckpt_of_another_database/weights.safetensors",
        }
    assert not (storage.root / "ckpt_orphan").exists()


class Away(FolderStorage):
    """One whose network's folder does not answer."""

    def find_old(self, pattern: str, older_than_s: float) -> list[str]:
        raise StorageAway(errno.ETIMEDOUT, f"Nothing is heard of {pattern}, {older_than_s} s old.")


def test_old_rows_go_whatever_keeps_files(database: Database, tiny_spec: ExperimentSpec, tmp_path: Path) -> None:
    """A storage that is away for months fills no database; nor do decoded pictures on a full disk keep other files."""
    (tmp_path / "decoded").mkdir()
    (tmp_path / "decoded" / "one.partial").mkdir()
    # As where there is no room for it.
    (tmp_path / "decoded" / "one.lock").mkdir()
    storage = FolderStorage(tmp_path / "checkpoints")
    held = begun(database, tiny_spec, storage)
    with database.writing() as session:
        jobs.finish(session, held, "failed", "internal_error")
    with database.writing() as session:
        session.execute(update(Event).values(created_at=0.0))
        session.execute(update(Run).values(finished_at=0.0))
    decoded = DecodedCache(tmp_path / "decoded", 1 << 20)
    sweep(database, storage, decoded=decoded, events_days=30, audit_days=30, retry_days=7)
    assert left(storage) == set()
    with database.reading() as session:
        assert session.scalars(select(Event.type)).all() == []

    with database.writing() as session:
        experiments.create(session, tiny_spec, None)
    with database.writing() as session:
        session.execute(update(Event).values(created_at=0.0))
    with pytest.raises(StorageAway):
        sweep(database, Away(storage.root), events_days=30, audit_days=30, retry_days=7)
    with database.reading() as session:
        assert session.scalars(select(Event.type)).all() == []


class Full(Database):
    """One on a disk without room."""

    @contextmanager
    def writing(self) -> Iterator[Session]:
        raise OperationalError("DELETE", {}, sqlite3.OperationalError("database or disk is full"))
        yield self._write()


def test_files_go_although_no_row_can_be_written(
    database: Database,
    database_url: str,
    tiny_spec: ExperimentSpec,
    storage: FolderStorage,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The disk that is full may be theirs. All else is tried as well, said in one line, and done by a later sweep."""
    held = begun(database, tiny_spec, storage)
    storage.write("exp_discarded/file", b"content")
    with database.writing() as session:
        jobs.finish(session, held, "failed", "internal_error")
        session.add(DiscardedFolder(name="exp_discarded", created_at=0.0))
    full = Full(database_url)
    sweep(full, storage, events_days=30, audit_days=30, retry_days=0)
    full.close()
    assert left(storage) == {f"{files.attempt_folder(held)}/state"}
    (said,) = (record.getMessage() for record in caplog.records)
    assert said == (
        "Not forgotten yet, as rows cannot be written (database or disk is full): states of runs that ended; "
        "helpers of evaluations that ended; parts of pictures; old deliveries to webhooks; old events; "
        "old entries of the audit list; the deleted folder exp_discarded."
    )
    sweep(database, storage, events_days=30, audit_days=30, retry_days=0)
    assert left(storage) == set()


def test_a_database_that_is_away_is_told_once(storage: FolderStorage, caplog: pytest.LogCaptureFixture) -> None:
    """By whoever sweeps, as it tells of every round that fails: each kind of row that stayed was a warning."""
    away = Database("postgresql://nobody@/none?host=/nowhere")
    with pytest.raises(OperationalError):
        sweep(away, storage, events_days=30, audit_days=30, retry_days=0)
    away.close()
    assert caplog.records == []


def test_there_may_be_no_storage_yet(database: Database, storage: FolderStorage) -> None:
    """Before the first file there is nothing to sweep."""
    sweep(database, storage, events_days=30, audit_days=30, retry_days=7)

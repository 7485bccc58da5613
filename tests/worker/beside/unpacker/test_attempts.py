"""The process that unpacks, and who may take an archive: what is lost is begun anew, and what goes on is left."""

import sys
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import text

from gauntlet.spec.asked.uploads import SplitDraw
from store.database import Database
from store.errors import LeaseLost
from store.queue import unpacking
from store.queue.jobs import MOST_CRASHES
from store.subjects import datasets
from store.traces.spans import ASKED, Asked, Span
from tests.packing import class_folders
from tests.uploads import packed, receive, unpack
from worker.beside import unpacker, unpacking_process
from worker.beside.unpacker import Unpacker
from worker.settings import WorkerSettings


def test_a_process_that_computes_too_long_is_ended(sqlite_url: str, settings: WorkerSettings, tmp_path: Path) -> None:
    """By the kernel, in the middle of what it is at; the archive is refused for that."""
    database = Database(sqlite_url)
    content = packed(tmp_path, class_folders(["cat", "dog"], 5_000))
    identifier = receive(database, settings.storage, content, SplitDraw(test_fraction=0.5))
    unpack(database, settings.model_copy(update={"max_unpacking_s": 1.0}))
    with database.reading() as session:
        row = datasets.get(session, identifier)
    assert (row.status, row.status_detail) == (
        "failed",
        "The archive takes more than 1 s of a processor to unpack and read.",
    )
    database.close()


def test_a_process_that_says_nothing_is_taken_for_lost(
    sqlite_url: str, settings: WorkerSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds up no other archive, and when its lease has run out another attempt is made."""
    database = Database(sqlite_url)
    identifier = receive(database, settings.storage, packed(tmp_path))
    with monkeypatch.context() as patience:
        # No process has said anything by the first look.
        patience.setattr(unpacker, "_MOST_SILENT_S", 0.0)
        unpack(database, settings.model_copy(update={"heartbeat_s": 0.001}))
    with database.writing() as session:
        row = datasets.get(session, identifier)
        assert (row.status, row.worker, row.attempt) == ("unpacking", "here", 1)
        row.lease_expires_at = 0.0
    unpack(database, settings)
    with database.reading() as session:
        row = datasets.get(session, identifier)
    assert (row.status, row.attempt) == ("ready", 2)
    database.close()


def test_a_process_that_cannot_be_started_costs_no_attempt(
    database: Database, settings: WorkerSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is it taken for a fault of the storage: its user reads what the machine said, and it is tried again."""
    before = ASKED.set(Asked("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"))
    identifier = receive(database, settings.storage, packed(tmp_path))
    ASKED.reset(before)
    with monkeypatch.context() as machine:
        machine.setattr(sys, "executable", "/nowhere/python")
        for _ in range(MOST_CRASHES + 1):
            told: list[Span] = []
            Unpacker(database, settings, told.append).look()
            with database.writing() as session:
                row = datasets.get(session, identifier)
                assert (row.status, row.status_reason, row.crashes) == ("unpacking", "not_started", 0)
                assert row.status_detail == "What unpacks it could not be started (No such file or directory)."
                assert told[-1].error == told[-1].attributes["gauntlet.status_reason"] == "not_started"
                assert told[-1].attributes["gauntlet.status"] == "unpacking"
                row.lease_expires_at = 0.0
    unpack(database, settings)
    with database.reading() as session:
        assert datasets.get(session, identifier).status == "ready"


def test_a_process_that_ends_before_it_was_told_is_known_by_how(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not by the pipe that broke, which says nothing of it."""
    monkeypatch.setattr(sys, "executable", "/bin/false")
    # More than a pipe takes that nobody reads.
    with unpacking_process.at_work({"name": "x" * (1 << 20)}) as process:
        assert unpacking_process.told_by(process).get(timeout=60) is None
        assert unpacking_process.why_it_ended(process.wait(), 60) == {"lost": "its process ended with 1"}


def test_what_a_worker_lost_is_begun_anew_three_times(
    database: Database, settings: WorkerSettings, tmp_path: Path
) -> None:
    """Once its lease has run out; the attempt that lost it can write no more. An orderly shutdown does not count."""
    identifier = receive(database, settings.storage, packed(tmp_path))

    def claim() -> unpacking.Unpacking | None:
        with database.writing() as session:
            return unpacking.claim_next(session, "lost", -1.0)

    first = claim()
    assert first is not None
    with database.writing() as session:
        unpacking.postpone(session, first, "worker_shutdown", None, wait_s=-1)
    held = [claim() for _ in range(3)]
    assert [each and each.attempt for each in held] == [2, 3, 4]
    assert held[0] is not None
    with pytest.raises(LeaseLost), database.writing() as session:
        unpacking.renew(session, held[0], 15, ("reading", 1, 2))
    assert claim() is None
    with database.reading() as session:
        row = datasets.get(session, identifier)
    assert (row.status, row.status_reason) == ("failed", "worker_lost")


def test_nobodys_archive_is_taken_while_leases_say_nothing(
    sqlite_url: str, settings: WorkerSettings, tmp_path: Path
) -> None:
    """As where the database was away until just now, and whoever unpacks it could not renew its lease.

    What nobody holds is taken all the same.
    """
    database = Database(sqlite_url)
    identifier = receive(database, settings.storage, packed(tmp_path))
    with database.writing() as session:
        assert unpacking.claim_next(session, "lives", -1.0) is not None
    nobodys = receive(database, settings.storage, packed(tmp_path), name="nobodys")
    for may_judge, attempt in ((False, 1), (True, 2)):
        Unpacker(database, settings, may_judge=lambda _, may=may_judge: may).look()
        with database.reading() as session:
            assert datasets.get(session, identifier).attempt == attempt
            assert datasets.get(session, nobodys).status == "ready"
    database.close()


def test_an_archive_whose_lease_ran_out_while_its_table_was_locked_is_not_taken(
    postgresql_url: str, settings: WorkerSettings, tmp_path: Path
) -> None:
    """Whoever unpacks it waits for the same lock to renew it."""
    database = Database(postgresql_url)
    receive(database, settings.storage, packed(tmp_path))
    with database.writing() as session:
        assert unpacking.claim_next(session, "lives", 1.0) is not None
    took: list[unpacking.Unpacking | None] = []

    def take() -> None:
        with database.writing() as session:
            took.append(unpacking.claim_next(session, "another", 15.0))

    with database.writing() as session:
        session.execute(text("LOCK TABLE datasets"))
        taking = threading.Thread(target=take)
        taking.start()
        time.sleep(1.5)
    taking.join()
    take()
    assert [each and each.attempt for each in took] == [None, 2]
    database.close()

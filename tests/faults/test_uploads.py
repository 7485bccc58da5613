"""An uploaded archive becomes a data set once, wherever the service or the worker is killed on the way."""

import os
from pathlib import Path

import pytest
from sqlalchemy import update

from store.database import Database
from store.models import Dataset
from store.subjects import datasets
from tests.faults.arming import ended_at
from tests.faults.places import UNPACKING
from tests.uploads import packed, receive, unpack
from worker.beside.sweeper import sweep
from worker.settings import WorkerSettings


@pytest.fixture
def settings(tmp_path: Path, sqlite_url: str) -> WorkerSettings:
    return WorkerSettings(home=tmp_path / "home", database_url=sqlite_url, heartbeat_s=0.1)


def stored(settings: WorkerSettings) -> set[str]:
    return {str(file.relative_to(settings.storage.root)) for file in settings.storage.root.rglob("*") if file.is_file()}


def swept(settings: WorkerSettings) -> None:
    """Two hours later."""
    for file in settings.storage.root.rglob("*"):
        os.utime(file, (0, 0))
    database = Database(settings.database_url)
    sweep(database, settings.storage, events_days=1, audit_days=1, retry_days=0)
    database.close()


@pytest.mark.parametrize("place", ["archive_kept", "settling"])
def test_a_service_killed_with_an_upload_leaves_all_of_it_or_nothing(
    place: str, settings: WorkerSettings, tmp_path: Path
) -> None:
    """Before the row, the archive is swept; after it, the archive is unpacked."""
    content = packed(tmp_path)

    def upload() -> None:
        receive(Database(settings.database_url), settings.storage, content)

    assert ended_at(tmp_path / "orders", place, 1, upload)
    swept(settings)
    database = Database(settings.database_url)
    with database.reading() as session:
        rows = datasets.page(session, after=None, limit=10).rows
    unpack(database, settings)
    with database.reading() as session:
        assert [datasets.get(session, row.id).status for row in rows] == ([] if place == "archive_kept" else ["ready"])
    assert bool(stored(settings)) == bool(rows)
    database.close()


@pytest.mark.parametrize("place", UNPACKING)
def test_a_worker_killed_with_an_archive_loses_nothing(place: str, settings: WorkerSettings, tmp_path: Path) -> None:
    """Before the row says so another attempt makes it anew; after it, what only unpacking needed is swept."""
    database = Database(settings.database_url)
    content = packed(tmp_path)
    undisturbed = receive(database, settings.storage, content)
    unpack(database, settings)
    killed = receive(database, settings.storage, content, name="again")
    database.close()

    def work() -> None:
        unpack(Database(settings.database_url), settings)

    assert ended_at(tmp_path / "orders", place, 1, work)
    with database.writing() as session:
        # Its lease has run out.
        session.execute(update(Dataset).where(Dataset.id == killed).values(lease_expires_at=0.0))
    unpack(database, settings)
    swept(settings)
    with database.reading() as session:
        rows = [datasets.get(session, identifier) for identifier in (undisturbed, killed)]
    assert [(row.status, row.sha256) for row in rows] == [("ready", rows[0].sha256)] * 2
    assert rows[1].attempt == (2 if place == "content_published" else 1)
    files = [{name.partition("/")[2] for name in stored(settings) if name.startswith(row.id)} for row in rows]
    assert files[0] == files[1]
    database.close()

"""An uploaded archive becomes a data set, once, whatever happens to whoever unpacks it."""

import errno
import threading
from collections.abc import Callable
from gzip import compress as compressed
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from gauntlet.spec.asked.uploads import SplitDraw
from store import dataset_files
from store.database import Database
from store.queue import unpacking
from store.storage import FolderStorage, Storage, StorageAway
from store.subjects import datasets
from store.traces.spans import ASKED, Asked, Span
from tests.disks import largest_file
from tests.object_store import ObjectStore
from tests.packing import two_splits
from tests.pictures import encoded
from tests.uploads import left, packed, receive, unpack, uploaded
from worker.beside.sweeper import sweep
from worker.beside.unpacker import Unpacker
from worker.settings import WorkerSettings


def test_an_archive_becomes_a_data_set(database: Database, settings: WorkerSettings, tmp_path: Path) -> None:
    """In a process of its own; its pictures and small ones stay, the archive goes, and the row tells of them."""
    content = packed(tmp_path)
    identifier = uploaded(database, settings, content)
    pictures = {f"content/images/{name}" for name in two_splits()}
    assert left(settings.storage, identifier) == pictures | {f"content/thumbnails/{number}.png" for number in range(6)}
    with database.reading() as session:
        row = datasets.get(session, identifier)
        shown = datasets.show_details(session, row)
    assert (row.worker, row.lease_expires_at, row.attempt, row.crashes) == (None, None, 1, 0)
    assert (shown.classes, shown.train_images, shown.test_images) == (2, 8, 4)
    assert shown.archive_bytes == len(content)
    assert shown.description is not None
    assert shown.description.dataset == "pets"
    assert [each.label for each in shown.thumbnails] == ["cat"] * 3 + ["dog"] * 3
    assert shown.thumbnails[5].path == f"/v1/datasets/{identifier}/thumbnails/5.png"


def test_an_unpacking_is_in_the_trace_of_what_brought_the_archive(database: Database, settings: WorkerSettings) -> None:
    """How long it waited, and the attempt with what came of it; the archive's name is in neither."""
    place = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    before = ASKED.set(Asked(place))
    identifier = receive(database, settings.storage, b"no archive", name="sir bors")
    ASKED.reset(before)
    told: list[Span] = []
    Unpacker(database, settings, told.append).look()
    queued, attempt = told
    said = {name: attempt.attributes.get(f"gauntlet.{name}") for name in ("status", "status_reason")}
    assert said == {"status": "failed", "status_reason": "archive_refused"}
    assert (queued.name, attempt.name, {queued.parent, attempt.parent}) == ("queued", "unpacking attempt", {place})
    assert queued.began <= queued.ended == attempt.began <= attempt.ended
    assert (attempt.error, attempt.attributes["gauntlet.dataset.id"]) == ("archive_refused", identifier)
    assert "bors" not in repr(told)


@pytest.mark.parametrize(
    ("content", "draw", "told"),
    [
        (b"no archive", None, "none of ZIP"),
        (None, SplitDraw(test_fraction=0.5), "leave test_fraction out"),
    ],
)
def test_what_cannot_become_one_fails_with_a_sentence(
    content: bytes | None, draw: SplitDraw | None, told: str, sqlite_url: str, settings: WorkerSettings, tmp_path: Path
) -> None:
    """And nothing is left of it but the row."""
    database = Database(sqlite_url)
    identifier = receive(database, settings.storage, packed(tmp_path) if content is None else content, draw)
    unpack(database, settings)
    with database.reading() as session:
        row = datasets.get(session, identifier)
    assert (row.status, row.status_reason) == ("failed", "archive_refused")
    assert told in (row.status_detail or "")
    assert left(settings.storage, identifier) == set()
    database.close()


def test_no_more_is_unpacked_than_a_quota_leaves(sqlite_url: str, settings: WorkerSettings, tmp_path: Path) -> None:
    """Two of a few kB unpack to 4 MB each, and their owner may have little more: the second is refused on its way."""
    database = Database(sqlite_url)
    plain = encoded(Image.new("RGB", (1_200, 1_200)), "BMP")
    small = compressed(packed(tmp_path, two_splits() | {"train/cat/plain.bmp": plain}))
    quota = len(plain) + 100_000
    stored = [receive(database, settings.storage, small, name=name, quota_bytes=quota) for name in ("first", "second")]
    unpack(database, settings)
    with database.reading() as session:
        first, second = (datasets.get(session, identifier) for identifier in stored)
    assert (first.status, second.status, second.status_reason) == ("ready", "failed", "archive_refused")
    assert first.bytes is not None
    assert f"more than {quota - first.bytes:,} bytes" in (second.status_detail or "")
    assert left(settings.storage, second.id) == set()
    database.close()


def test_what_fitted_when_it_was_begun_is_looked_at_again(
    sqlite_url: str, settings: WorkerSettings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Of two that are unpacked at once and exceed their owner's quota together, the second to end is refused.

    The log says so too: it was made, but that is not what became of it.
    """
    database = Database(sqlite_url)
    identifier = receive(database, settings.storage, packed(tmp_path), quota_bytes=1_000_000)

    class Overtaken(Unpacker):
        def _ask(self, held: unpacking.Unpacking, archive: Path) -> dict[str, Any]:
            answer = super()._ask(held, archive)
            receive(database, settings.storage, bytes(1_000_000))
            return answer

    with database.writing() as session:
        held = unpacking.claim_next(session, "here", 15)
    assert held is not None
    Overtaken(database, settings)._unpack(held)
    with database.reading() as session:
        row = datasets.get(session, identifier)
    assert (row.status, row.status_reason) == ("failed", "archive_refused")
    assert f"The archive of {identifier}: refused, " in caplog.text
    assert left(settings.storage, identifier) == set()
    database.close()


def test_on_a_full_disk_an_archive_waits_for_room(sqlite_url: str, settings: WorkerSettings, tmp_path: Path) -> None:
    """It is neither lost nor failed, and nothing half done takes up room."""
    database = Database(sqlite_url)
    large = encoded(Image.new("RGB", (1_200, 1_200)), "BMP")
    identifier = receive(database, settings.storage, packed(tmp_path, two_splits() | {"train/cat/large.bmp": large}))
    with largest_file(len(large) - 1):
        unpack(database, settings)
    with database.reading() as session:
        row = datasets.get(session, identifier)
        assert not unpacking.any_waits(session)
    assert (row.status, row.status_reason, row.worker) == ("unpacking", "storage", None)
    assert left(settings.storage, identifier) == {"archive"}
    database.close()


def test_what_cannot_be_published_waits_for_the_storage(
    sqlite_url: str, settings: WorkerSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of it is recorded but why; another attempt makes the data set."""
    database = Database(sqlite_url)
    identifier = receive(database, settings.storage, packed(tmp_path))

    def away() -> None:
        raise StorageAway(errno.EHOSTUNREACH, "the store does not answer")

    with monkeypatch.context() as patched:
        patched.setattr(FolderStorage, "prepare_folder", lambda *_: away)
        unpack(database, settings)
    with database.writing() as session:
        row = datasets.get(session, identifier)
        assert (row.status, row.status_reason, row.worker) == ("unpacking", "storage", None)
        assert row.status_detail == (
            "The storage is away: the store does not answer. The data set goes on when it is back."
        )
        row.lease_expires_at = 0.0
    unpack(database, settings)
    with database.reading() as session:
        assert datasets.get(session, identifier).status == "ready"
    database.close()


def test_what_was_published_and_not_recorded_is_done_again(
    sqlite_url: str, settings: WorkerSettings, tmp_path: Path
) -> None:
    """The next attempt's content takes its place."""
    database = Database(sqlite_url)
    identifier = receive(database, settings.storage, packed(tmp_path))
    attempt = dataset_files.workplace(settings.storage, identifier, 0)
    (attempt / "images").mkdir(parents=True)
    (attempt / "images/stale").touch()
    dataset_files.prepare(settings.storage, identifier, 0)()
    unpack(database, settings)
    assert "content/images/stale" not in left(settings.storage, identifier)
    assert "content/images/train/cat/0.png" in left(settings.storage, identifier)
    database.close()


def test_a_worker_that_stops_leaves_it_to_another(sqlite_url: str, settings: WorkerSettings, tmp_path: Path) -> None:
    """At once, and no process goes on."""
    database = Database(sqlite_url)
    identifier = receive(database, settings.storage, packed(tmp_path))
    with database.writing() as session:
        held = unpacking.claim_next(session, "here", 15)
    assert held is not None
    stopped = Unpacker(database, settings)
    stopped.stop()
    stopped._unpack(held)
    with database.reading() as session:
        row = datasets.get(session, identifier)
    assert (row.status, row.status_reason, row.worker) == ("unpacking", "worker_shutdown", None)
    unpack(database, settings)
    with database.reading() as session:
        assert datasets.get(session, identifier).status == "ready"
    database.close()


def test_a_worker_that_stops_waits_for_no_transfer(
    sqlite_url: str, settings: WorkerSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The archive that is on its way is another's at once; the thread that brings it holds up no process's end."""
    database = Database(sqlite_url)
    identifier = receive(database, settings.storage, packed(tmp_path))
    on_its_way, ended = threading.Event(), threading.Event()
    stopped = Unpacker(database, settings)

    def archive(*_: object) -> Path:
        on_its_way.set()
        stopped.stop()
        ended.wait(90)
        return tmp_path

    monkeypatch.setattr(dataset_files, "archive", archive)
    try:
        stopped.look()
        assert on_its_way.is_set()
        assert not ended.is_set()
        assert [thread.daemon for thread in threading.enumerate() if thread.name == "transfer"] == [True]
    finally:
        ended.set()
    with database.reading() as session:
        row = datasets.get(session, identifier)
    assert (row.status, row.status_reason, row.worker) == ("unpacking", "worker_shutdown", None)
    database.close()


@pytest.mark.parametrize("ends", ["deleted", "refused"])
def test_what_was_sent_for_nobody_is_deleted(
    ends: str,
    sqlite_url: str,
    object_store: ObjectStore,
    settings: WorkerSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A data set that is deleted, or whose owner's quota is used up, while a bucket is sent it leaves nothing there."""
    database = Database(sqlite_url)
    bucket = object_store.bucket("nobody")
    settings = settings.model_copy(update={"storage_url": "s3://nobody/team"})
    receive(database, settings.storage, packed(tmp_path), quota_bytes=1_000_000)
    prepare = dataset_files.prepare

    def sending(storage: Storage, sent: str, attempt: int) -> Callable[[], None]:
        if ends == "refused":
            receive(database, FolderStorage(tmp_path / "elsewhere"), bytes(1_000_000))
        else:
            with database.writing() as session:
                datasets.delete(session, sent)
            sweep(database, storage, events_days=30, audit_days=30, retry_days=7)
        publish = prepare(storage, sent, attempt)
        assert list(bucket.rglob("*.tar"))
        return publish

    monkeypatch.setattr(dataset_files, "prepare", sending)
    unpack(database, settings)
    assert [path for path in bucket.rglob("*") if path.is_file()] == []
    database.close()

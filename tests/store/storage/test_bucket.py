"""What only a bucket has: a server that may be away or full, and copies on this machine."""

import errno
import hashlib
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import s3fs

from store import dataset_files, files
from store.storage import STORAGE_FULL, FileDamaged, StorageAway, StorageRefused
from store.storage.requests import part_of
from tests.e2e.system import await_that
from tests.object_store import ObjectStore

DIGEST = hashlib.sha256(b"content").hexdigest()


def test_a_server_that_is_gone_for_a_while_is_waited_for(object_store: ObjectStore, tmp_path: Path) -> None:
    """A write goes through once it is back; without patience it is told that the storage is away."""
    bucket = object_store.bucket("away")
    patient = object_store.storage("away", tmp_path, patience_s=90)
    object_store.stop()
    try:
        with pytest.raises(StorageAway) as raised:
            object_store.storage("away", tmp_path).write("run_a/weights", b"content")
        # Nor is its address told, for users read it.
        assert raised.value.strerror == "the store does not answer as it should (EndpointConnectionError)"
        at_work = threading.Thread(target=patient.write, args=("run_a/weights", b"content"))
        at_work.start()
    finally:
        object_store.start()
    at_work.join(90)
    assert (bucket / "team/one/run_a/weights").read_bytes() == b"content"


def test_a_copy_is_brought_once_and_checked_each_time(object_store: ObjectStore, tmp_path: Path) -> None:
    """One that this machine's disk has damaged is brought anew; what is damaged in the bucket is refused."""
    bucket, storage = object_store.bucket("copies"), object_store.storage("copies", tmp_path)
    storage.write("weights", b"content")
    copy = storage.fetch("weights", DIGEST)
    (bucket / "team/one/weights").write_bytes(b"contend")
    assert storage.fetch("weights", DIGEST) == copy
    assert copy.read_bytes() == b"content"
    copy.write_bytes(b"broken!")
    with pytest.raises(FileDamaged, match="sha256"):
        storage.fetch("weights", DIGEST)
    assert list((tmp_path / "fetched").glob("*.partial")) == []
    storage.write("weights", b"content")
    assert storage.fetch("weights", DIGEST).read_bytes() == b"content"


def test_a_data_set_that_is_damaged_is_refused(object_store: ObjectStore, tmp_path: Path) -> None:
    """Its pictures are looked at as one, before any of them is read."""
    bucket, storage = object_store.bucket("pets"), object_store.storage("pets", tmp_path)
    (dataset_files.workplace(storage, "dset_a", 1) / "images").mkdir(parents=True)
    dataset_files.prepare(storage, "dset_a", 1)()
    (tar,) = bucket.rglob("*.tar")
    tar.write_bytes(tar.read_bytes()[:-1] + b"x")
    with pytest.raises(FileDamaged):
        dataset_files.fetch(storage, "dset_a")


def test_a_data_set_is_published_without_patience(
    object_store: ObjectStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """For that happens in a transaction: where the store is away it is tried once more and told."""
    object_store.bucket("held")
    storage = object_store.storage("held", tmp_path, patience_s=20)
    (dataset_files.workplace(storage, "dset_a", 1) / "images").mkdir(parents=True)
    publish = dataset_files.prepare(storage, "dset_a", 1)
    object_store.stop()
    try:
        with pytest.raises(StorageAway):
            publish()
    finally:
        object_store.start()
    assert sum("is tried again" in message for message in caplog.messages) <= 1
    publish()
    assert (dataset_files.fetch(storage, "dset_a") / "dset_a/content/images").is_dir()


def test_a_large_file_goes_in_parts(object_store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 8 MiB, two at once, which is what memory holds of it; and comes back so."""
    object_store.bucket("large")
    storage = object_store.storage("large", tmp_path)
    content = os.urandom(17 << 20)
    held, most, sizes = 0, 0, []
    ask = s3fs.S3FileSystem._call_s3

    async def counted(self: s3fs.S3FileSystem, method: str, *args: object, **asked: Any) -> Any:
        nonlocal held, most
        held += 1
        most = max(most, held)
        sizes.append(len(asked.get("Body", b"")))
        try:
            return await ask(self, method, *args, **asked)
        finally:
            held -= 1

    monkeypatch.setattr(s3fs.S3FileSystem, "_call_s3", counted)
    with storage.draft() as draft:
        draft.write(content)
        storage.keep(draft, "kept")
    storage.write("written", content)
    assert (sum(sizes), max(sizes), most) == (2 * len(content), 8 << 20, 2)
    for path in ("kept", "written"):
        assert storage.read(path) == content
    assert storage.fetch("kept", hashlib.sha256(content).hexdigest()).read_bytes() == content
    assert most == 2


def test_an_object_of_any_size_has_no_more_parts_than_stores_take() -> None:
    """10,000."""
    assert part_of(1) == part_of(80_000 << 20) == 8 << 20
    assert part_of((80_000 << 20) + 1) == (8 << 20) + 1


def test_without_credentials_a_request_is_refused_and_not_repeated(
    object_store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For they come with a change of the settings."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    s3fs.S3FileSystem.clear_instance_cache()
    try:
        with pytest.raises(StorageRefused, match="no credentials"):
            object_store.storage("any", tmp_path, patience_s=90).read("weights")
    finally:
        s3fs.S3FileSystem.clear_instance_cache()


def test_data_sets_with_the_same_pictures_are_each_there(object_store: ObjectStore, tmp_path: Path) -> None:
    """On one machine, from equal tars; and so is a file that is such a tar."""
    object_store.bucket("twins")
    storage = object_store.storage("twins", tmp_path)
    for identifier in ("dset_a", "dset_b"):
        images = dataset_files.workplace(storage, identifier, 1) / "images"
        images.mkdir(parents=True)
        (images / "0.png").write_bytes(b"content")
        dataset_files.prepare(storage, identifier, 1)()
    packed = storage.find("dset_*/content/*.tar")
    assert len({path.rpartition("/")[2] for path in packed}) == 1
    for identifier in ("dset_a", "dset_b"):
        content = dataset_files.fetch(storage, identifier) / identifier / "content"
        assert (content / "images/0.png").read_bytes() == b"content"
    assert storage.fetch(packed[0], Path(packed[0]).stem).is_file()


def test_what_killed_processes_left_on_this_machine_goes(object_store: ObjectStore, tmp_path: Path) -> None:
    """What was received, made or brought; what somebody still writes to or sends stays, however old it is otherwise."""
    storage = object_store.storage("left", tmp_path)
    left, made = dataset_files.workplace(storage, "dset_a", 1), dataset_files.workplace(storage, "dset_b", 2)
    for attempt in (left, made):
        (attempt / "images").mkdir(parents=True)
        (attempt / "images/0.png").write_bytes(b"content")
    received = tmp_path / "scratch/incoming/0123"
    sent = storage.draft()
    received.write_bytes(b"content")
    brought = tmp_path / "fetched/4567.partial"
    brought.mkdir(parents=True)
    for path in (left / "images/0.png", left / "images", left, received, made / "images", made, sent.path):
        os.utime(path, (1_000, 1_000))
    storage.forget_here(3_600)
    assert list(received.parent.iterdir()) == [sent.path]
    sent.close()
    assert not brought.exists()
    assert list((tmp_path / "scratch/making").rglob("*.png")) == [made / "images/0.png"]
    assert not left.parent.exists()
    assert list((tmp_path / "fetched").iterdir()) == []


def test_what_told_the_time_to_the_dead_is_deleted(object_store: ObjectStore, tmp_path: Path) -> None:
    """Not so what tells it to somebody now."""
    object_store.bucket("clocks")
    storage = object_store.storage("clocks", tmp_path)
    for path in ("clock-0123", "run_a/attempt-1/weights"):
        storage.write(path, b"")
    storage.forget_drafts(3_600)
    assert storage.find("*") == ["clock-0123", "run_a"]
    # All that was written until a minute from now is old.
    storage.forget_drafts(-60)
    assert storage.find("*") == ["run_a"]


_STARTS_ONE = """
import sys
from pathlib import Path
from tests.object_store import ObjectStore
store = ObjectStore(Path(sys.argv[1]))
store.start()
print(store.environment["AWS_ENDPOINT_URL"].rpartition(":")[2], flush=True)
sys.stdin.read()
"""


def test_a_server_ends_with_a_test_run_that_is_killed(tmp_path: Path) -> None:
    """Nobody is there to stop it."""
    command = [sys.executable, "-c", _STARTS_ONE, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as killed:
        assert killed.stdout is not None
        port = int(killed.stdout.readline())
        killed.kill()
    await_that(lambda: not _listens(port))


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class _Refusing(BaseHTTPRequestHandler):
    """Answers every request as `code` says, as Ceph and others do; or with another body than that."""

    code, status = "QuotaExceeded", 403
    body: bytes | None = None
    missing = 0
    asked = 0
    # Clients wait to be told that they may send.
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        type(self).asked += 1
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        refusal = f"<?xml version='1.0'?><Error><Code>{self.code}</Code><Message>No.</Message></Error>".encode()
        body = refusal if self.body is None else self.body
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(body) + self.missing))
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_PUT = do_GET = do_HEAD = _answer  # noqa: N815  # the server's names for them

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[_Refusing]]:

    class Refusing(_Refusing):
        pass

    server = HTTPServer(("127.0.0.1", 0), Refusing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
    s3fs.S3FileSystem.clear_instance_cache()
    yield Refusing
    server.shutdown()
    server.server_close()
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.mark.parametrize(
    ("code", "status", "told"),
    [
        ("QuotaExceeded", 403, "The storage takes no more: the store has no room. The job goes on when there is room."),
        ("XMinioStorageFull", 507, "The storage takes no more: the store has no room."),
        ("SlowDown", 503, "The storage is away: the store does not answer as it should (SlowDown)."),
        ("AccessDenied", 403, "The storage refuses the service: the store answers AccessDenied."),
        ("InvalidObjectState", 403, "The storage refuses the service: the store answers InvalidObjectState."),
    ],
)
def test_a_refusal_is_told_as_what_it_is(
    object_store: ObjectStore, refusing: type[_Refusing], tmp_path: Path, code: str, status: int, told: str
) -> None:
    """A bucket that is full is as a full disk; a store that is overrun is as one that is away. Each is asked once."""
    refusing.code, refusing.status = code, status
    with pytest.raises(OSError, match=r"store") as raised:
        object_store.storage("full", tmp_path).write("weights", b"content")
    assert files.fault(raised.value).startswith(told)
    assert (raised.value.errno in STORAGE_FULL) == (raised.value.errno == errno.ENOSPC)
    assert isinstance(raised.value, StorageAway) == (status == 503)
    assert refusing.asked == 1


@pytest.mark.parametrize(
    ("body", "missing"),
    [(b"half of it", 10), (b"no XML", 0)],
    ids=["broken off", "another server's"],
)
def test_an_answer_that_breaks_off_is_of_a_store_that_is_away(
    object_store: ObjectStore, refusing: type[_Refusing], tmp_path: Path, body: bytes, missing: int
) -> None:
    """Whether it was a file or a list; so it is where somebody else answers in the store's place."""
    refusing.status, refusing.body, refusing.missing = 200, body, missing
    storage = object_store.storage("cut", tmp_path)
    with pytest.raises(StorageAway):
        storage.require()
    if missing:
        with pytest.raises(StorageAway):
            storage.read("weights")

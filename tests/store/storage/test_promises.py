"""What every storage promises to those who keep files in it."""

import hashlib
import os
import shutil
import time
from pathlib import Path

import pytest

from store import dataset_files, files
from store.storage import FileDamaged, FolderStorage, Storage
from tests.disks import largest_file
from tests.object_store import ObjectStore
from tests.store.storage.conftest import files_below

DIGEST = hashlib.sha256(b"content").hexdigest()


def test_a_file_is_stored_with_its_digest(storage: Storage, root: Path) -> None:
    """The stored bytes are the given ones, and nothing else is there; writing again replaces them."""
    stored = storage.write("run_a/attempt-1/weights", b"content")
    assert (stored.path, stored.sha256, stored.bytes) == ("run_a/attempt-1/weights", DIGEST, 7)
    assert files_below(root) == {"run_a/attempt-1/weights": b"content"}
    storage.write("run_a/attempt-1/weights", b"newer")
    assert storage.read("run_a/attempt-1/weights") == b"newer"
    storage.require()
    assert storage.holds("run_a/attempt-1/weights")
    assert not storage.holds("run_a/attempt-1/state")


def test_what_is_read_is_what_was_recorded(storage: Storage, root: Path) -> None:
    """A file of this machine has it; what was changed is told by its digest, what is gone by its absence."""
    storage.write("weights", b"content")
    for _ in range(2):
        assert files.checked(storage, "weights", DIGEST).read_bytes() == b"content"
    storage.write("damaged", b"content")
    (root / "damaged").write_bytes(b"contend")
    with pytest.raises(FileDamaged):
        files.checked(storage, "damaged", hashlib.sha256(b"other").hexdigest())
    with pytest.raises(FileDamaged):
        files.checked(storage, "weights", hashlib.sha256(b"another").hexdigest())
    with pytest.raises(FileNotFoundError):
        files.checked(storage, "gone", hashlib.sha256(b"gone").hexdigest())
    with pytest.raises(FileNotFoundError):
        storage.read("gone")


def test_a_draft_is_kept_or_gone(storage: Storage, root: Path) -> None:
    """Of one that is closed without being kept nothing is left anywhere."""
    with storage.draft() as kept, storage.draft() as given_up:
        kept.write(b"content")
        given_up.write(b"other")
        storage.keep(kept, "ckpt_a/weights")
        left = given_up.path
    assert files_below(root) == {"ckpt_a/weights": b"content"}
    assert not left.exists()


def test_a_draft_that_finds_no_room_leaves_nothing(storage: Storage, root: Path) -> None:
    """It is told as what a full disk tells."""
    with storage.draft() as draft, largest_file(1_000):
        draft.write(b"x" * 2_000)
        with pytest.raises(OSError, match="too large"):
            storage.keep(draft, "ckpt_a/weights")
    assert files_below(root) == {}


def test_files_and_folders_are_found_by_how_they_look(storage: Storage) -> None:
    """In their order, each once; a deleted folder takes all below it."""
    for path in ("run_a/attempt-1/x", "run_a/attempt-1/y", "run_b/attempt-2/x", "eval_a/attempt-1/x", "run_a/z"):
        storage.write(path, b"content")
    assert storage.find("run_*") == ["run_a", "run_b"]
    assert storage.find("run_*/attempt-*/*") == ["run_a/attempt-1/x", "run_a/attempt-1/y", "run_b/attempt-2/x"]
    assert storage.find("run_a/*") == ["run_a/attempt-1", "run_a/z"]
    assert storage.find("dset_*") == []
    storage.delete("run_a/z")
    storage.delete("run_a/z")
    storage.delete_folder("run_a")
    storage.delete_folder("run_a")
    assert storage.find("run_*") == ["run_b"]


def test_what_is_old_is_so_by_the_storages_clock(
    storage: Storage, root: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """A host whose clock is a day ahead takes nothing for old that was just written."""
    for name in ("ckpt_old", "ckpt_new"):
        storage.mark(f"{name}/unrecorded")
    written = (root / "ckpt_old/unrecorded").stat().st_mtime - 5_400
    os.utime(root / "ckpt_old/unrecorded", (written, written))
    now = time.time
    if isinstance(storage, FolderStorage):
        # A request to a bucket is signed with the time, which must be right.
        monkeypatch.setattr(time, "time", lambda: now() + 86_400)
    else:
        # The server keeps in mind when files were written.
        store: ObjectStore = request.getfixturevalue("object_store")
        store.stop()
        store.start()
    assert storage.find_old("ckpt_*/unrecorded", 3_600) == ["ckpt_old/unrecorded"]
    assert storage.find("clock*") == []


def test_a_folder_is_published_as_a_whole(storage: Storage, root: Path, tmp_path: Path) -> None:
    """Until it is, readers see the one before or none; another machine reads the same files, empty folders too."""
    for attempt, content in enumerate((b"first", b"second"), 1):
        made = dataset_files.workplace(storage, "dset_a", attempt)
        (made / "images/train/cat").mkdir(parents=True)
        (made / "images/train/empty").mkdir()
        (made / "images/train/cat/0.png").write_bytes(content)
        (made / "thumbnails").mkdir()
        (made / "thumbnails/0.png").write_bytes(content)
        publish = dataset_files.prepare(storage, "dset_a", attempt)
        before = dataset_files.fetch(storage, "dset_a") / "dset_a/content"
        assert before.exists() == (attempt == 2)
        publish()
        dataset_files.discard_attempt(storage, "dset_a", attempt)
        dataset_files.tidy(storage, "dset_a")
        read = dataset_files.fetch(storage, "dset_a") / "dset_a/content"
        assert (read / "images/train/cat/0.png").read_bytes() == content
        assert (read / "images/train/empty").is_dir()
        assert dataset_files.thumbnail(storage, "dset_a", 0) == content
        assert not made.exists()
    assert list(dataset_files.begun(storage)) == []
    dataset_files.delete(storage, "dset_a")
    assert files_below(root) == {}
    with pytest.raises(FileNotFoundError):
        dataset_files.thumbnail(storage, "dset_a", 0)
    shutil.rmtree(tmp_path / "home", ignore_errors=True)
    assert not (dataset_files.fetch(storage, "dset_a") / "dset_a/content").exists()

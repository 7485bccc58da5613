"""Files of jobs and imports: marked until their rows are there, and swept where none names them."""

import errno
import hashlib
import os
import tempfile
import time
from pathlib import Path

import pytest

from store import files
from store.queue.jobs import Claim
from store.storage import FolderStorage, StorageRefused
from tests.disks import largest_file
from tests.imports import write_import


def test_an_import_that_finds_no_room_leaves_nothing(tmp_path: Path) -> None:
    """Neither its file nor its mark; with room it is stored, and marked until its row is there."""
    storage = FolderStorage(tmp_path)
    (tmp_path / "ckpt_0").write_bytes(b"in the way")
    with pytest.raises(OSError, match="exists"):
        files.begin_import(storage, "ckpt_0")
    with largest_file(1_000), pytest.raises(OSError, match="too large"):
        write_import(storage, "ckpt_1", b"x" * 2_000)
    files.delete_unsettled(storage, "ckpt_1")
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")} == {"ckpt_0", "incoming"}
    stored = write_import(storage, "ckpt_1", b"x" * 2_000)
    assert (tmp_path / stored.path).read_bytes() == b"x" * 2_000
    assert (stored.sha256, stored.bytes) == (hashlib.sha256(b"x" * 2_000).hexdigest(), 2_000)
    assert files.unsettled(storage, "ckpt", older_than_s=-1) == ["ckpt_1"]


@pytest.mark.parametrize("ahead_s", [-7_200, 7_200])
def test_files_are_as_old_as_the_storage_says(tmp_path: Path, ahead_s: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host whose clock is two hours wrong takes what was just begun for new, and what is old for old."""
    storage = FolderStorage(tmp_path)
    for name in ("ckpt_old", "ckpt_new"):
        write_import(storage, name, b"weights")
    began = (tmp_path / "ckpt_old" / files.UNRECORDED).stat().st_mtime - 5_400
    os.utime(tmp_path / "ckpt_old" / files.UNRECORDED, (began, began))
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + ahead_s)
    assert files.unsettled(storage, "ckpt", older_than_s=3_600) == ["ckpt_old"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ckpt_new", "ckpt_old", "incoming"]


def test_nothing_is_old_where_the_storage_takes_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its clock cannot be asked then; nothing is deleted by another."""
    storage = FolderStorage(tmp_path)
    write_import(storage, "ckpt_old", b"weights")
    os.utime(tmp_path / "ckpt_old" / files.UNRECORDED, (0, 0))
    assert files.unsettled(storage, "ckpt", older_than_s=3_600) == ["ckpt_old"]
    monkeypatch.setattr(tempfile, "TemporaryFile", _full)
    assert files.unsettled(storage, "ckpt", older_than_s=3_600) == []


def _full(**_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_sweep_deletes_what_no_row_knows(tmp_path: Path) -> None:
    """Orphans of this and earlier attempts go; recorded files, later attempts' and other runs' files stay."""
    storage = FolderStorage(tmp_path)
    kept = ("run_a/attempt-1/known", "run_a/attempt-3/later", "run_b/attempt-1/other")
    for path in (*kept, "run_a/attempt-1/orphan", "run_a/attempt-2/x.partial"):
        storage.write(path, b"content")
    files.sweep(storage, Claim("run", "run_a", 2), {"run_a/attempt-1/known"})
    left = sorted(str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*") if file.is_file())
    assert left == sorted(kept)


class KeepsOne(FolderStorage):
    """A storage whose rules let one file be deleted by nobody."""

    def delete(self, path: str) -> None:
        if path.endswith("attempt-1/kept"):
            raise StorageRefused(errno.EACCES, "the store answers AccessDenied")
        super().delete(path)


def test_a_file_that_may_not_be_deleted_keeps_no_other(tmp_path: Path) -> None:
    """The sweep goes on to those behind it."""
    storage = KeepsOne(tmp_path)
    for path in ("run_a/attempt-1/kept", "run_a/attempt-1/left", "run_b/attempt-1/left"):
        storage.write(path, b"")
    files.sweep_ended(storage, "run", {"run_a", "run_b"}, set())
    assert storage.find("*/*/*") == ["run_a/attempt-1/kept"]


def test_each_attempt_has_its_own_folder() -> None:
    """Two attempts at a run never write to the same place."""
    folders = {files.attempt_folder(Claim("run", "run_a", token)) for token in (1, 2)}
    assert len(folders) == 2

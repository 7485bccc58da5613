"""Checkpoint files appear whole or not at all."""

import hashlib
import os
import time
from pathlib import Path

import pytest

from store import files
from store.queue.jobs import Claim
from tests.disks import largest_file
from tests.imports import write_import


def test_a_file_is_stored_with_its_digest(tmp_path: Path) -> None:
    """The stored bytes are the given ones, and nothing else remains in the folder."""
    stored = files.write(tmp_path, "run/attempt-1/weights", b"content")
    assert (tmp_path / stored.path).read_bytes() == b"content"
    assert (stored.sha256, stored.bytes) == (hashlib.sha256(b"content").hexdigest(), 7)
    assert [file.name for file in (tmp_path / "run/attempt-1").iterdir()] == ["weights"]


def test_writing_again_replaces_the_file(tmp_path: Path) -> None:
    """A repeated step leaves the newest content, also over a partial write of an earlier try."""
    (tmp_path / "weights.partial").write_bytes(b"cut of")
    files.write(tmp_path, "weights", b"old")
    files.write(tmp_path, "weights", b"new")
    assert (tmp_path / "weights").read_bytes() == b"new"
    assert [file.name for file in tmp_path.iterdir()] == ["weights"]


def test_a_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """What was written aside is gone, and what lay in the way is as it was."""
    files.write(tmp_path, "weights/in the way", b"content")
    with pytest.raises(OSError, match="irectory"):
        files.write(tmp_path, "weights", b"new")
    assert [str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*")] == ["weights", "weights/in the way"]


def test_an_import_that_finds_no_room_leaves_nothing(tmp_path: Path) -> None:
    """Neither its file nor its mark; with room it is stored, and marked until its row is there."""
    (tmp_path / "ckpt_0").write_bytes(b"in the way")
    with pytest.raises(OSError, match="exists"):
        files.begin_import(tmp_path, "ckpt_0")
    with largest_file(1_000), pytest.raises(OSError, match="too large"):
        write_import(tmp_path, "ckpt_1", b"x" * 2_000)
    files.delete_import(tmp_path, "ckpt_1")
    assert [file.name for file in tmp_path.iterdir()] == ["ckpt_0"]
    stored = write_import(tmp_path, "ckpt_1", b"x" * 2_000)
    assert (tmp_path / stored.path).read_bytes() == b"x" * 2_000
    assert (stored.sha256, stored.bytes) == (hashlib.sha256(b"x" * 2_000).hexdigest(), 2_000)
    assert files.unsettled_imports(tmp_path, older_than_s=-1) == ["ckpt_1"]


@pytest.mark.parametrize("ahead_s", [-7_200, 7_200])
def test_files_are_as_old_as_the_storage_says(tmp_path: Path, ahead_s: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host whose clock is two hours wrong takes what was just begun for new, and what is old for old."""
    for name in ("ckpt_old", "ckpt_new"):
        write_import(tmp_path, name, b"weights")
    began = (tmp_path / "ckpt_old" / files.UNRECORDED).stat().st_mtime - 5_400
    os.utime(tmp_path / "ckpt_old" / files.UNRECORDED, (began, began))
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + ahead_s)
    assert files.unsettled_imports(tmp_path, older_than_s=3_600) == ["ckpt_old"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ckpt_new", "ckpt_old"]


def test_nothing_is_old_where_the_storage_takes_no_more(tmp_path: Path) -> None:
    """Its clock cannot be asked then; nothing is deleted by another."""
    assert files.long_ago(tmp_path / "away", 0) == float("-inf")


def test_a_sweep_deletes_what_no_row_knows(tmp_path: Path) -> None:
    """Orphans of this and earlier attempts go; recorded files, later attempts' and other runs' files stay."""
    kept = ("run_a/attempt-1/known", "run_a/attempt-3/later", "run_b/attempt-1/other")
    for path in (*kept, "run_a/attempt-1/orphan", "run_a/attempt-2/x.partial"):
        files.write(tmp_path, path, b"content")
    files.sweep(tmp_path, Claim("run", "run_a", 2), {"run_a/attempt-1/known"})
    left = sorted(str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*") if file.is_file())
    assert left == sorted(kept)


def test_each_attempt_has_its_own_folder() -> None:
    """Two attempts at a run never write to the same place."""
    folders = {files.attempt_folder(Claim("run", "run_a", token)) for token in (1, 2)}
    assert len(folders) == 2

"""A folder's files appear whole or not at all."""

from pathlib import Path

import pytest

from store.storage import FolderStorage


def test_a_partial_write_of_an_earlier_try_is_replaced(tmp_path: Path) -> None:
    """A repeated step leaves the newest content, and nothing beside it."""
    (tmp_path / "weights.partial").write_bytes(b"cut of")
    FolderStorage(tmp_path).write("weights", b"new")
    assert [file.name for file in tmp_path.iterdir()] == ["weights"]


def test_a_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """What was written aside is gone, and what lay in the way is as it was."""
    storage = FolderStorage(tmp_path)
    storage.write("weights/in the way", b"content")
    with pytest.raises(OSError, match="irectory"):
        storage.write("weights", b"new")
    assert [str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*")] == ["weights", "weights/in the way"]

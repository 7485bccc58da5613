"""`gauntlet backup` and `gauntlet restore`; what they do is in tests/store/test_backups.py."""

from pathlib import Path

import pytest

from tests import command


@pytest.mark.parametrize("words", [["restore"], ["restore", "--check"]])
def test_an_archive_that_is_not_there_is_told(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the words that every command has for it."""
    monkeypatch.setenv("GAUNTLET_HOME", str(tmp_path / "home"))
    told = command.run(*words, tmp_path / "none.tar")
    assert told.exit_code == 1
    sentence = f"{tmp_path}/none.tar cannot be read or written: No such file or directory."
    assert "".join(told.output.split()).endswith("".join(sentence.split()))

"""What the server's machine lacks is told by each command that works there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


def told(home: Path, words: str, **environment: str) -> str:
    """What the command says on one line, which ends with status 1."""
    settings = {"GAUNTLET_HOME": str(home), "GAUNTLET_PORT": "0"} | environment
    # A process, for `migrate` sets up how it logs.
    command = [sys.executable, "-m", "cli", *words.split()]
    ended = subprocess.run(command, check=False, env=os.environ | settings, capture_output=True, text=True)
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    return " ".join((ended.stdout + ended.stderr).split())


@pytest.mark.parametrize("words", ["tokens list", "migrate", "up", "backup file.tar"])
def test_a_database_that_is_away_is_told(tmp_path: Path, words: str) -> None:
    """In a sentence with its address, and without its password."""
    url = "postgresql+psycopg://ada:secret@127.0.0.1:9/gauntlet"
    said = told(tmp_path, words, GAUNTLET_DATABASE_URL=url)
    assert "postgresql+psycopg://ada:***@127.0.0.1:9/gauntlet does not answer: " in said
    assert "secret" not in said


@pytest.mark.parametrize("words", ["tokens list", "migrate", "up"])
def test_a_home_that_cannot_be_made_is_told(tmp_path: Path, words: str) -> None:
    """It lies below a file."""
    (tmp_path / "file").touch()
    assert told(tmp_path / "file" / "home", words).endswith("cannot be read or written: Not a directory.")

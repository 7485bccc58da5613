"""What the measurement on a GPU starts ends with it."""

import os
import select
import subprocess
from pathlib import Path
from typing import Any

import pytest

from benchmarks.gpu import _ran


def test_an_interrupted_measurement_leaves_nothing_running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Ctrl-C ends the program and what that has started, which holds the pipe open for as long as it runs."""
    os.mkfifo(pipe := tmp_path / "pipe")
    opened: list[int] = []

    def interrupt(*_: Any, **__: Any) -> None:
        # It comes once somebody writes there.
        opened.append(os.open(pipe, os.O_RDONLY))
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess.Popen, "communicate", interrupt)
    with pytest.raises(KeyboardInterrupt):
        _ran(["sh", "-c", f"sleep 30 > {pipe} & wait"], os.environ, 60)
    assert select.select(opened, [], [], 20)[0] == opened
    os.close(opened[0])

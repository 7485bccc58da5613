"""Supervised child processes and their logs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cli.machine import processes
from cli.machine.processes import _LONGEST_LOG, Child
from tests.e2e.system import await_that


def say(word: str, log: Path) -> None:
    child = Child("child", [sys.executable, "-c", f"print({word!r})"], log)
    child.start()
    await_that(lambda: not child.is_running)


def test_a_long_log_is_set_aside(tmp_path: Path) -> None:
    """Output is appended from start to start, until the log is long; of those set aside the last one is kept."""
    log, before = tmp_path / "logs/child.log", tmp_path / "logs/child.log.1"
    for word in ("one", "two"):
        say(word, log)
    assert log.read_text() == "one\ntwo\n"
    for word in ("three", "four"):
        with log.open("ab") as file:
            file.truncate(_LONGEST_LOG + 1)
        say(word, log)
        assert log.read_text() == f"{word}\n"
        assert before.read_bytes().startswith({"three": b"one", "four": b"three"}[word])
    assert sorted(tmp_path.rglob("*.log*")) == [log, before]


def test_a_child_that_cannot_be_started_again_is_tried_again(tmp_path: Path) -> None:
    """As where memory is short: who tends to the others goes on, says why, and waits longer each time."""
    command = tmp_path / "command"
    command.symlink_to("/bin/false")
    child = Child("child", [str(command)], tmp_path / "child.log")
    child.start()
    await_that(lambda: not child.is_running)
    command.unlink()
    assert f"The child ended with 1; it starts again. Its log: {child.log}" == child.tend()
    said: list[str | None] = []

    def is_said() -> bool:
        said.append(child.tend())
        return said[-1] is not None

    await_that(is_said)
    assert said[-1] == "The child cannot be started (No such file or directory); it is tried again in 1 s."
    command.symlink_to("/bin/true")
    await_that(lambda: child.tend() is None and child._restart_at is None)
    await_that(lambda: not child.is_running)


def test_a_fault_between_fork_and_exec_is_tried_again_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """subprocess tells of it by an error that is none of the system's."""

    def fail(*_: int) -> None:
        raise MemoryError

    child = Child("child", ["/bin/true"], tmp_path / "child.log")
    child.start()
    await_that(lambda: not child.is_running)
    child.tend()
    child._restart_at = 0.0
    with monkeypatch.context() as patch:
        patch.setattr(processes, "_PRCTL", fail)
        said = child.tend()
    assert said == "The child cannot be started (Exception occurred in preexec_fn.); it is tried again in 1 s."
    child._restart_at = 0.0
    assert child.tend() is None
    assert child._restart_at is None
    await_that(lambda: not child.is_running)


def test_a_child_ends_with_its_supervisor(tmp_path: Path) -> None:
    """The kernel sends it SIGTERM, however that ended."""
    supervisor = (
        "import os, sys; from pathlib import Path; from cli.machine.processes import Child\n"
        "child = Child('child', ['/bin/sleep', '600'], Path(sys.argv[1])); child.start()\n"
        "print(child.pid, flush=True); os.kill(os.getpid(), 9)"
    )
    told = subprocess.run(
        [sys.executable, "-c", supervisor, str(tmp_path / "child.log")], stdout=subprocess.PIPE, text=True, check=False
    )
    await_that(lambda: not is_alive(int(told.stdout)))


def is_alive(pid: int) -> bool:
    """Whether it is there, and no mere remainder that nobody has asked after."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_log_that_cannot_be_cut_is_left(tmp_path: Path) -> None:
    """As on a disk that has become read-only; here by a folder in its place."""
    log = tmp_path / "child.log"
    child = Child("child", ["/bin/sleep", "60"], log)
    child.start()
    log.unlink()
    log.mkdir()
    for number in range(3):
        (log / f"{number:0>200}").touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(processes, "_LONGEST_LOG", 0)
        assert child.tend() is None
    child.stop(0.1)


def test_a_log_that_grows_long_meanwhile_is_set_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process goes on writing at the beginning of its log; what it wrote before is kept beside it."""
    log, before = tmp_path / "child.log", tmp_path / "child.log.1"
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    child = Child("child", [sys.executable, "-u", "-c", "print('one'); open('fifo').read(); print('two')"], log)
    monkeypatch.chdir(tmp_path)
    child.start()
    await_that(lambda: log.read_text() == "one\n")
    with log.open("ab") as file:
        file.truncate(_LONGEST_LOG + 1)
    assert child.tend() is None
    assert log.stat().st_size == 0
    assert before.read_bytes().startswith(b"one")
    fifo.write_text("")
    await_that(lambda: log.read_text() == "two\n" and not child.is_running)

"""The folder of a worker's fork server is there while the worker lives, and at most until the next one starts."""

import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

TAKES = """
import sys
from multiprocessing import forkserver, util
from worker.temporary import take_folder
take_folder()
forkserver.ensure_running()
print(util.get_temp_dir(), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A folder whose path leaves room for a socket's."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        yield Path(folder)


def started(folder: Path) -> tuple[subprocess.Popen[str], Path]:
    """A process with a fork server, and where that listens."""
    process = subprocess.Popen(
        [sys.executable, "-c", TAKES],
        env={"TMPDIR": str(folder), "PYTHONPATH": str(Path(__file__).parents[2])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_what_a_killed_worker_left_goes_with_the_next(temporary: Path) -> None:
    """What those that live have stays, and who ends in order leaves nothing."""
    (temporary / "gauntlet-worker-elsewhere").symlink_to("/")
    (lives, kept), (killed, left) = started(temporary), started(temporary)
    assert [path.parent.parent for path in (kept, left)] == [temporary, temporary]
    assert list(left.glob("listener-*"))
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert left.exists()

    last, own = started(temporary)
    assert not left.parent.exists()
    assert list(kept.glob("listener-*"))
    for process in (lives, last):
        process.communicate(timeout=60)
        assert process.returncode == 0
    assert not kept.parent.exists()
    assert not own.parent.exists()
    assert [path.name for path in temporary.iterdir()] == ["gauntlet-worker-elsewhere"]


def test_a_path_too_long_for_a_socket_is_left_to_multiprocessing(temporary: Path) -> None:
    """Which has less to add to it; nothing is left of the trial."""
    long = temporary / ("x" * (70 - len(str(temporary))))
    long.mkdir()
    process, place = started(long)
    assert place.parent == long
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert list(long.iterdir()) == []

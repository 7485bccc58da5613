"""The process that jobs' processes come from, which multiprocessing keeps to itself."""

import contextlib
import os
import signal
from multiprocessing import forkserver


def lives() -> bool:
    """Whether it is there to be asked; it is not waited for, which is its next start's to do."""
    server = _pid()
    if server is None:
        return False
    with contextlib.suppress(ChildProcessError):
        return os.waitid(os.P_PID, server, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
    return False


def end() -> None:
    """End it at once, whatever it does."""
    server = _pid()
    if server is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(server, signal.SIGKILL)


def _pid() -> int | None:
    pid: int | None = forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]  # noqa: SLF001  # there is no other way to it
    return pid

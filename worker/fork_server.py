"""The process that jobs' processes come from, which multiprocessing keeps to itself."""

import contextlib
import os
import signal
import time
from multiprocessing import forkserver
from typing import Final

_GONE_WITHIN_S: Final = 1.0
_LOOK_EVERY_S: Final = 0.01


def lives() -> bool:
    """Whether it is there to be asked; it is not waited for, which is its next start's to do."""
    server = _pid()
    if server is None:
        return False
    with contextlib.suppress(ChildProcessError):
        return os.waitid(os.P_PID, server, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
    return False


def end() -> None:
    """End it at once, whatever it does; it is gone then, unless the kernel keeps it for longer than a second."""
    server = _pid()
    if server is None:
        return
    with contextlib.suppress(ProcessLookupError):
        os.kill(server, signal.SIGKILL)
    await_end()


def await_end() -> None:
    """Wait until it is gone, but no longer than a second: who only hears that it ended may hear it before it has."""
    until = time.monotonic() + _GONE_WITHIN_S
    while lives() and time.monotonic() < until:
        time.sleep(_LOOK_EVERY_S)


def _pid() -> int | None:
    pid: int | None = forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]  # noqa: SLF001  # there is no other way to it
    return pid

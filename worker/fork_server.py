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
    server = pid()
    if server is None:
        return False
    with contextlib.suppress(ChildProcessError):
        return os.waitid(os.P_PID, server, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
    return False


def start() -> int:
    """Have one, which may be there already; returns its pid.

    Raises:
        OSError: this machine has no room for it.
    """
    while True:
        forkserver.ensure_running()
        # None while another thread, which has just seen it end, makes a new one.
        if (server := pid()) is not None:
            return server


def end(server: int) -> None:
    """End this one at once, whatever it does; it is gone then, unless the kernel keeps it for longer than a second.

    Nothing happens where it has ended, though there is another by now.
    """
    if pid() != server:
        return
    with contextlib.suppress(ProcessLookupError):
        os.kill(server, signal.SIGKILL)
    await_end(server)


def await_end(server: int) -> None:
    """Wait until this one is gone, but no longer than a second: who hears that it ended may hear it before it has."""
    until = time.monotonic() + _GONE_WITHIN_S
    while pid() == server and lives() and time.monotonic() < until:
        time.sleep(_LOOK_EVERY_S)


def pid() -> int | None:
    """The pid of that which is there, or was last."""
    server: int | None = forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]  # noqa: SLF001  # there is no other way to it
    return server

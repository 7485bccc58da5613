"""A process that the fork server makes, as its worker holds it; it outlives a fork server that dies.

multiprocessing asks how its processes ended in whatever thread starts another, and without a lock: of two threads that
read it, one hears 255, as where nobody can tell because the fork server died. So of 1,200 processes that ended well in
eight threads ten were said to have failed. Here multiprocessing never knows of a process, and one thread waits for it.
"""

import contextlib
import fcntl
import logging
import multiprocessing
import os
import signal
import struct
import termios
import threading
import time
from collections.abc import Callable
from multiprocessing import connection, util
from multiprocessing.popen_forkserver import Popen
from pathlib import Path
from typing import Any, Final

from worker import fork_server

logger = logging.getLogger(__name__)

CONTEXT: Final = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["worker.preloaded"])
_COUNT: Final = struct.Struct("i")
# Where it has to be looked whether a process is there.
_LOOK_EVERY_S: Final = 0.05
# Of what /proc/PID/stat says after the command's name.
_STATE, _BEGAN = 0, 19


class NotStarted(Exception):
    """No process, or no thread beside it, could be started, for want of room or of a folder; what it says is why."""


class ForkServerLost(NotStarted):
    """The fork server ended while it was needed; the next start makes a new one."""

    def __init__(self) -> None:
        super().__init__("The fork server, from which jobs' processes come, was ended")


class Forked:
    """A process, to be started once, and waited for by one thread; any may end it.

    It is held by a descriptor of its own (a pidfd), for its number may be another's once it has ended. Where there is
    none it is known by its number and when it began.
    """

    def __init__(self, target: Callable[..., object], args: tuple[Any, ...], name: str) -> None:
        self._process = CONTEXT.Process(target=target, args=args, name=name)
        self._lock = threading.Lock()
        self._popen: Popen | None = None
        self._held: int | None = None
        self._began: str | None = None
        self._is_over = False
        # Whose process it is to be, once that is known.
        self.server: int | None = None
        # Known once it was started.
        self.pid: int | None = None
        # Whether it has outlived its fork server.
        self.is_orphan = False
        # What it ended with, or minus the signal that ended it; None where nobody can tell, as the fork server died.
        self.exit_code: int | None = None

    def start(self) -> None:
        """Have it made.

        Raises:
            ForkServerLost: it was not; or it was, but nobody holds it, and it ends by itself.
            NotStarted: this machine has no room for it, or no folder for the fork server.
        """
        try:
            self._start()
        except OSError as error:
            raise NotStarted(error.strerror or type(error).__name__) from error

    def _start(self) -> None:
        # Where the fork server listens. Who tidies up a machine may take it, which brings no other place.
        Path(util.get_temp_dir()).mkdir(mode=0o700, parents=True, exist_ok=True)
        self.server = fork_server.start()
        try:
            # `Process.start` would tell multiprocessing of it.
            self._popen = Popen(self._process)
        except FileNotFoundError as error:
            # Nobody reaches it any more.
            fork_server.end(self.server)
            raise ForkServerLost from error
        except (EOFError, ConnectionError) as error:
            # Else the next start might still ask this one.
            fork_server.await_end(self.server)
            raise ForkServerLost from error
        pid: int = self._popen.pid
        self._began = _began(pid)
        self._held = _held(pid)
        self.pid = pid

    def has_ended(self, within_s: float) -> bool:
        """Whether it has ended, for which it is waited so long; then `exit_code` says how."""
        assert self._popen is not None
        if not self.is_orphan:
            told = self._popen.sentinel
            if not connection.wait([told], within_s):
                return False
            if _holds_something(told):
                self.exit_code = self._popen.poll()
            else:
                self.is_orphan = True
                logger.warning("The fork server of process %d died. The process goes on.", self.pid)
        if self.is_orphan and not self._is_gone(within_s):
            return False
        self.let_go()
        self._popen.close()
        return True

    def _is_gone(self, within_s: float) -> bool:
        """Whether it is not there any more, as the kernel says."""
        if self._held is not None:
            return bool(connection.wait([self._held], within_s))
        until = time.monotonic() + within_s
        while self._lives():
            if time.monotonic() >= until:
                return False
            time.sleep(min(_LOOK_EVERY_S, within_s))
        return True

    def _lives(self) -> bool:
        return self.pid is not None and self._began is not None and _began(self.pid) == self._began

    def terminate(self) -> None:
        """Ask it to end, if it was started."""
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        """End it, if it was started."""
        self._send(signal.SIGKILL)

    def let_go(self) -> None:
        """Hold it no more, whether or not it has ended."""
        with self._lock:
            self._is_over = True
            if self._held is not None:
                os.close(self._held)
                self._held = None

    def _send(self, number: signal.Signals) -> None:
        with self._lock, contextlib.suppress(ProcessLookupError):
            if self._held is not None:
                signal.pidfd_send_signal(self._held, number)
            # Both None where there is no /proc.
            elif self.pid is not None and not self._is_over and _began(self.pid) == self._began:
                os.kill(self.pid, number)


def _held(pid: int) -> int | None:
    """A descriptor of a process; None where it is gone, or this Python, kernel or machine has none to give."""
    # Not every build of Python has both, whatever its version.
    if not (hasattr(os, "pidfd_open") and hasattr(signal, "pidfd_send_signal")):
        return None
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None


def _began(pid: int) -> str | None:
    """When a process began, in ticks since the machine did; None where it has ended, asked after or not."""
    try:
        said = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if said[_STATE] in ("Z", "X") else said[_BEGAN]


def _holds_something(pipe: int) -> bool:
    """Whether a pipe that can be read holds anything, or is at its end."""
    (count,) = _COUNT.unpack(fcntl.ioctl(pipe, termios.FIONREAD, bytes(_COUNT.size)))
    return bool(count)

"""A process that the fork server makes, as its worker holds it; it outlives a fork server that dies.

multiprocessing asks how its processes ended in whatever thread starts another, and without a lock: of two threads that
read it, one hears 255, as where nobody can tell because the fork server died. So of 1,200 processes that ended well in
eight threads ten were said to have failed. Here multiprocessing forgets a process at once, and one thread waits for it.
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
from collections.abc import Callable
from multiprocessing import connection, util
from pathlib import Path
from typing import Any, Final

from worker import fork_server

logger = logging.getLogger(__name__)

CONTEXT: Final = multiprocessing.get_context("forkserver")
_COUNT: Final = struct.Struct("i")


class ForkServerLost(Exception):
    """The fork server ended while it was needed; the next start makes a new one."""

    def __init__(self) -> None:
        super().__init__("The fork server, from which jobs' processes come, was ended")


class Forked:
    """A process, to be started once, and waited for by one thread; any may end it.

    It is held by a descriptor of its own (a pidfd), for its number may be another's once it has ended.
    """

    def __init__(self, target: Callable[..., object], args: tuple[Any, ...], name: str) -> None:
        self._process = CONTEXT.Process(target=target, args=args, name=name)
        self._lock = threading.Lock()
        self._held: int | None = None
        self._is_over = False
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
            OSError: this machine has no room for it.
        """
        try:
            # Where the fork server listens. Who tidies up a machine may take it, which brings no other place.
            Path(util.get_temp_dir()).mkdir(mode=0o700, parents=True, exist_ok=True)
            self._process.start()
        except FileNotFoundError as error:
            # Nobody reaches it any more.
            fork_server.end()
            raise ForkServerLost from error
        except (EOFError, ConnectionError) as error:
            # Else the next start might still ask this one.
            fork_server.await_end()
            raise ForkServerLost from error
        multiprocessing.process._children.discard(self._process)  # type: ignore[attr-defined]  # noqa: SLF001  # there is no other way to say so
        pid = self._process.pid
        assert pid is not None
        # None where it is gone already, or the kernel is older than 5.3.
        with contextlib.suppress(OSError):
            self._held = os.pidfd_open(pid)
        self.pid = pid

    def has_ended(self, within_s: float) -> bool:
        """Whether it has ended, for which it is waited so long; then `exit_code` says how."""
        if not self.is_orphan:
            told = self._process.sentinel
            if not connection.wait([told], within_s):
                return False
            if _holds_something(told):
                self.exit_code = self._process.exitcode
            else:
                self.is_orphan = True
                logger.warning("The fork server of process %d died. The process goes on.", self.pid)
        if self.is_orphan:
            if self._held is None:
                self.kill()
            elif not connection.wait([self._held], within_s):
                return False
        self.let_go()
        self._process.close()
        return True

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
            elif self.pid is not None and not self._is_over:
                os.kill(self.pid, number)


def _holds_something(pipe: int) -> bool:
    """Whether a pipe that can be read holds anything, or is at its end."""
    (count,) = _COUNT.unpack(fcntl.ioctl(pipe, termios.FIONREAD, bytes(_COUNT.size)))
    return bool(count)

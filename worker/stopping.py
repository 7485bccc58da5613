"""How a process is asked to stop by a signal, and what a worker then does apart from that."""

import threading
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue


class Asked:
    """Whether it is to stop, said by a signal's handler and waited for by one thread, also the one in which that comes.

    Not a `threading.Event`: whoever sets one takes its lock, and so does whoever begins to wait for it. A handler that
    comes just then would wait for its own thread.
    """

    def __init__(self) -> None:
        self._said = False
        # Its `put` may come in the middle of another.
        self._woken: SimpleQueue[None] = SimpleQueue()

    def set(self) -> None:
        """Say so, and wait for nothing."""
        self._said = True
        self._woken.put(None)

    def is_set(self) -> bool:
        """Whether it was said."""
        return self._said

    def wait(self, seconds: float | None = None) -> bool:
        """The same, once it was or after so long."""
        if not self._said:
            with suppress(Empty):
                self._woken.get(timeout=seconds)
        return self._said


class Stopping:
    """Does `work` once it is asked to, in a thread of its own.

    A signal's handler comes in the middle of whatever the main thread does, which may hold a lock, one of logging, of
    threads that start, or of ours: what the handler then waits for never comes.
    """

    def __init__(self, work: Callable[[], None]) -> None:
        self._work = work
        self._asked = Asked()
        self._thread = threading.Thread(target=self._do, name="stopping", daemon=True)

    def start(self) -> None:
        """Wait to be asked."""
        self._thread.start()

    def ask(self) -> None:
        """Have it done, and wait for nothing; for signals' handlers."""
        self._asked.set()

    def await_end(self) -> None:
        """Return when it is done, if it was asked for; before the process ends."""
        if self._asked.is_set() and self._thread.is_alive():
            self._thread.join()

    def _do(self) -> None:
        self._asked.wait()
        self._work()

"""What a worker does when it is asked to stop, apart from the signal by which it is asked."""

import threading
from collections.abc import Callable
from queue import SimpleQueue


class Stopping:
    """Does `work` once it is asked to, in a thread of its own.

    A signal's handler comes in the middle of whatever the main thread does, which may hold a lock, one of logging, of
    threads that start, or of ours: what the handler then waits for never comes.
    """

    def __init__(self, work: Callable[[], None]) -> None:
        self._work = work
        # Its `put` may come in the middle of another.
        self._asked: SimpleQueue[None] = SimpleQueue()
        self._is_asked = False
        self._thread = threading.Thread(target=self._do, name="stopping", daemon=True)

    def start(self) -> None:
        """Wait to be asked."""
        self._thread.start()

    def ask(self) -> None:
        """Have it done, and wait for nothing; for signals' handlers."""
        self._is_asked = True
        self._asked.put(None)

    def await_end(self) -> None:
        """Return when it is done, if it was asked for; before the process ends."""
        if self._is_asked and self._thread.is_alive():
            self._thread.join()

    def _do(self) -> None:
        self._asked.get()
        self._work()

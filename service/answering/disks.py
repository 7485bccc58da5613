"""What is asked of disks, of which one may be a network's and hang for good: others do not wait for that."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")

_PATIENCE_S = 1.0


class Patient(Generic[T]):
    """Work that is done in a thread of its own, once at a time, and waited for by all who ask meanwhile.

    The process's end does not wait for it.
    """

    def __init__(self, work: Callable[[], T], name: str, *, patience_s: float | None = None) -> None:
        """`patience_s` is how long it may take, by default a second."""
        self._work, self._name = work, name
        self._patience_s = _PATIENCE_S if patience_s is None else patience_s
        self._turn = threading.Lock()
        self._coming: Future[T] | None = None
        self._begun = 0.0

    def __call__(self) -> T | None:
        """What it comes to; None where it takes longer than it may, for which nobody then waits again.

        Raises:
            Exception: what it raises.
        """
        with self._turn:
            if self._coming is None or self._coming.done():
                self._coming, self._begun = Future(), time.monotonic()
                threading.Thread(target=self._do, args=[self._coming], name=self._name, daemon=True).start()
            coming, rest = self._coming, self._begun + self._patience_s - time.monotonic()
        try:
            return coming.result(max(0.0, rest))
        except TimeoutError:
            if coming.done():
                # Its own.
                raise
            return None

    def _do(self, coming: "Future[T]") -> None:
        try:
            coming.set_result(self._work())
        except BaseException as error:  # noqa: BLE001  # it is raised where the work is waited for
            coming.set_exception(error)

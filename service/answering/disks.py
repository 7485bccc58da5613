"""What is asked of disks, of which one may be a network's and hang for good: others do not wait for that."""

import asyncio
import errno
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import copy_context
from functools import partial
from typing import Generic, TypeVar

from store.storage import StorageAway

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
            # It may have come just now, or be its own.
            return coming.result() if coming.done() else None

    def _do(self, coming: "Future[T]") -> None:
        _settle(coming, self._work)


class Bounded:
    """Different things that are done in threads of their own, each for whoever asks, and `most` of them at once.

    One that hangs keeps its thread, and nobody who asked for it: it is waited for `patience_s`. Where all threads hang
    nobody waits. The process's end does not wait for them.
    """

    def __init__(self, name: str, *, most: int, patience_s: float) -> None:
        """`most` is to be more than there may be who ask at once, or those who come last are refused."""
        self._name, self._patience_s = name, patience_s
        self._places = threading.BoundedSemaphore(most)

    def __call__(self, work: Callable[[], T]) -> T:
        """What the work comes to, for a thread that may wait.

        Raises:
            StorageAway: it takes longer, or as many hang as may.
            Exception: what it raises.
        """
        coming = self._begun(work)
        try:
            return coming.result(self._patience_s)
        except TimeoutError as error:
            if coming.done():
                # It has come just now, or is its own, of a disk that has given up.
                return coming.result()
            raise self._away() from error

    async def awaited(self, work: Callable[[], T]) -> T:
        """The same for who waits in the loop."""
        coming = self._begun(work)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(coming), self._patience_s)
        except TimeoutError as error:
            if coming.done():
                # It has come just now, or is its own, of a disk that has given up.
                return coming.result()
            raise self._away() from error

    def _begun(self, work: Callable[[], T]) -> "Future[T]":
        if not self._places.acquire(blocking=False):
            raise StorageAway(errno.ETIMEDOUT, "as many looks at it hang as there may be")
        coming: Future[T] = Future()
        # Whoever gives up must not cancel it.
        coming.set_running_or_notify_cancel()
        known = partial(copy_context().run, work)
        threading.Thread(target=self._do, args=[coming, known], name=self._name, daemon=True).start()
        return coming

    def _do(self, coming: "Future[T]", work: Callable[[], T]) -> None:
        try:
            _settle(coming, work)
        finally:
            self._places.release()

    def _away(self) -> StorageAway:
        return StorageAway(errno.ETIMEDOUT, f"it says nothing for {self._patience_s:g} s")


def _settle(coming: "Future[T]", work: Callable[[], T]) -> None:
    try:
        result = work()
    except BaseException as error:  # noqa: BLE001  # it is raised where the work is waited for
        coming.set_exception(error)
    else:
        coming.set_result(result)

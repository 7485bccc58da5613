"""Evaluations that a worker does not help with for a while, as it was of no use in them."""

import threading
import time
from collections.abc import Callable
from typing import Final

# How a process ends that found nothing more to help with: an evaluation that is all others' is left alone as well.
NOTHING_LEFT: Final = 10
# What was wrong may pass, as a database that was away; to try again costs the reading of model and images.
_BARRED_S: Final = 600.0
# They are named in a query. Past these the longest barred are tried again.
_MOST: Final = 100


class Unhelped:
    """Their ids, each for ten minutes. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        # Until when, the longest barred first.
        self._until: dict[str, float] = {}

    def add(self, evaluation: str) -> None:
        """Bar it from now on."""
        with self._lock:
            self._until.pop(evaluation, None)
            self._until[evaluation] = self._clock() + _BARRED_S
            while len(self._until) > _MOST:
                del self._until[next(iter(self._until))]

    def ids(self) -> tuple[str, ...]:
        """Those that are barred now."""
        with self._lock:
            now = self._clock()
            self._until = {evaluation: until for evaluation, until in self._until.items() if until > now}
            return tuple(self._until)

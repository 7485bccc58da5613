"""What a worker does again and again beside its jobs."""

import logging
import threading
from collections.abc import Callable

from sqlalchemy.exc import OperationalError

logger = logging.getLogger(__name__)


class Rounds(threading.Thread):
    """Does `work` every `every_s` seconds until it is stopped. A round that fails is logged, and the next one comes.

    The first one is done `at_once`, if that is said.
    """

    def __init__(self, name: str, work: Callable[[], None], every_s: float, *, at_once: bool = False) -> None:
        super().__init__(name=name, daemon=True)
        self._work = work
        self._every_s = every_s
        self._wait_s = 0.0 if at_once else every_s
        self._stopped = threading.Event()

    def run(self) -> None:
        """The thread's body."""
        while not self._stopped.wait(self._wait_s):
            self._wait_s = self._every_s
            try:
                self._work()
            except OperationalError as error:
                logger.warning("The %s could not reach the database: %s", self.name, error)
            except Exception:
                logger.exception("A round of the %s failed.", self.name)

    def stop(self) -> None:
        """End after the current round."""
        self._stopped.set()

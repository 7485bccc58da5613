"""That this worker lives, told in its row."""

import logging
import random
import threading
import time
from collections.abc import Callable, Mapping
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

import gauntlet
from store.database import Database
from store.queue import workers
from store.queue.workers import Presence
from worker.settings import WorkerSettings

logger = logging.getLogger(__name__)

_LOOKERS: Final = 10
# What two cores of a database take beside all else. The jobs of more workers come to as many beats a second.
_AT_FULL_PACE: Final = 250
# A supervisor that ends what does not stop waits for 20 s, and the jobs have their grace.
_LEAVES_WITHIN_S: Final = 1.0
# So one beat that is lost, or late by as long as a round may wait for locks, does not lose the job.
_BEATS_IN_A_LEASE: Final = 3


def takes_part(alive: int) -> bool:
    """Whether one of so many workers is to look now for what any of them may do.

    By chance, such that about `_LOOKERS` of them do: each look of a thousand would be a thousand questions.
    """
    return random.random() * alive < _LOOKERS  # noqa: S311  # no secret


def beats_every_s(heartbeat_s: float, lease_s: float, alive: int) -> float:
    """How often a job beats where so many workers live."""
    slowed = min(heartbeat_s * alive / _AT_FULL_PACE, lease_s / _BEATS_IN_A_LEASE)
    return max(heartbeat_s, slowed)


class Announcer:
    """Keeps the row of one worker: made anew when it is first told, and taken when the worker stops.

    `networks` are those of a team's own that its jobs have, each with its package.
    """

    def __init__(self, database: Database, settings: WorkerSettings, networks: Mapping[str, str] | None = None) -> None:
        self._database = database
        self._presence = Presence(
            settings.worker_name, settings.worker_slots, gauntlet.__version__, dict(networks or {})
        )
        # Late, a job beats each `heartbeat_s`: whoever lives has renewed its leases by then.
        self._renewed_within_s = _BEATS_IN_A_LEASE * settings.heartbeat_s
        # Since when the database takes what is told, and since when it has been told what it has not taken yet.
        self._taken_since: float | None = None
        self._telling_since: float | None = None
        self._alive_file = settings.alive_file
        self._forget()
        # A round may be at it when the worker stops.
        self._telling = threading.Lock()
        self._has_left = False
        self._entered = False
        self._alive = 1

    def tell(self) -> None:
        """Say that it lives, in its row and then by its file."""
        with self._telling:
            if self._has_left:
                return
            taken_since, self._telling_since = self._taken_since, time.monotonic()
            try:
                with self._database.writing() as session:
                    if self._entered:
                        workers.beat(session, self._presence)
                    else:
                        workers.enter(session, self._presence)
                    self._alive = workers.count_alive(session)
            except BaseException:
                self._taken_since = None
                raise
            else:
                now = time.monotonic()
                was_slow = now - self._telling_since > self._renewed_within_s
                self._taken_since = now if taken_since is None or was_slow else taken_since
            finally:
                self._telling_since = None
            self._entered = True
            if self._alive_file is not None and not self._has_left:
                self._alive_file.touch()

    def in_turn(self, work: Callable[[], None]) -> Callable[[], None]:
        """The same work, done in about as many of each round as if there were never more than a few workers."""

        def do() -> None:
            if self.takes_part():
                work()

        return do

    def takes_part(self) -> bool:
        """Whether this worker is to look now for what any worker may do."""
        return takes_part(self._alive)

    def may_judge(self) -> bool:
        """Whether a lease that ran out says that somebody died or hangs.

        Not while the database takes nothing, as where it is full or locked, nor just after that: nobody could renew
        theirs. Who may have waited for its lock asks once it has that.
        """
        now, taken_since, telling_since = time.monotonic(), self._taken_since, self._telling_since
        if taken_since is None or now - taken_since < self._renewed_within_s:
            return False
        return telling_since is None or now - telling_since < self._renewed_within_s

    def leave(self) -> None:
        """Say that it stops, and tell nothing after that; it is waited for a second, as the database may hang.

        Where it cannot be said, its row grows old.
        """
        self._has_left = True
        self._forget()
        leaving = threading.Thread(target=self._take_back, name="leaving", daemon=True)
        leaving.start()
        leaving.join(_LEAVES_WITHIN_S)
        if leaving.is_alive():
            logger.warning("The database does not know yet that this worker stops.")

    def _take_back(self) -> None:
        with self._telling:
            # A round may have touched it meanwhile.
            self._forget()
            try:
                with self._database.writing() as session:
                    workers.leave(session, self._presence.name)
            except SQLAlchemyError as error:
                logger.warning("The database does not know that this worker stops: %s", error)

    def _forget(self) -> None:
        """What another process told by the file is no sign of this one."""
        if self._alive_file is not None:
            self._alive_file.unlink(missing_ok=True)

"""A job's pulse: keeps its lease, tells its progress, and hears when it must stop.

A thread beats beside the job in the job's own process, for all its jobs where it has several. The job looks at
`checkpoint()` between batches; one that is deep in a batch when it is told to stop gets a grace, after which the thread
ends the job in its stead, and the process with the last of its jobs; to pause it may take its time, as nothing of it
shall be lost.
"""

import logging
import multiprocessing
import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Final, Literal

from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from store import failpoints
from store.database import Database, says_locked
from store.errors import LeaseLost
from store.queue import helpers, jobs, workers
from store.queue.helpers import Help
from store.queue.jobs import Asked, Claim, JobProgress
from worker.jobs.course import Course
from worker.jobs.job_log import JobLog
from worker.presence import beats_every_s
from worker.settings import WorkerSettings
from worker.spans import Tell

logger = logging.getLogger(__name__)

StopReason = Literal["cancelled", "paused", "shutdown", "lease_lost"]
ORPHANED: Final = 3
# Of a lease: how long the beats of one round may wait for rows that others have locked, all together.
_MOST_OF_A_LEASE: Final = 1 / 3
_COUNT_EVERY_S: Final = 60.0


class Stopped(Exception):
    """Raised in the job at a batch boundary once it must stop."""

    def __init__(self, reason: StopReason) -> None:
        super().__init__(reason)
        self.reason: StopReason = reason


class Heartbeat:
    """What a job tells and is told, with every beat; its log is stored with it."""

    def __init__(
        self,
        database: Database,
        held: Claim | Help,
        settings: WorkerSettings,
        log: JobLog | None = None,
        tell: Tell | None = None,
    ) -> None:
        """`tell` sends spans of what the job goes through."""
        self._log = log
        self.course = Course(held, settings.worker_name, tell)
        self._database = database
        self._held = held
        self._settings = settings
        self._progress: JobProgress | None = None
        self._reason: StopReason | None = None
        self._stop_since: float | None = None
        self._renewed = time.monotonic()
        self._alive, self._count_next = 1, 0.0
        # Whether the last beat did not renew the lease.
        self._is_late = False
        # Nothing more is to be told of the job; and whether that is so although the job is still at it.
        self.is_over = False
        self.is_deaf = False

    def share_thread(self, beating: int) -> None:
        """Wait only so long for a locked row that all who beat in one thread, of such number, keep their leases."""
        self._database = self._database.waiting_for_locks(_MOST_OF_A_LEASE * self._settings.lease_s / beating)

    def tell(self, progress: JobProgress) -> None:
        """Note how far the job is; written with the next beat."""
        self._progress = progress

    def tell_of_pictures(self, read: int, total: int) -> None:
        """Note how many pictures of a data set are read; raise `Stopped` if the job must stop."""
        self.tell(JobProgress("loading data", read, total, "pictures"))
        self.checkpoint()

    def leave(self) -> None:
        """Tell no more of the job, whose end is written down."""
        self.is_over, self.is_deaf = True, False
        self.course.end(self._database)
        if self._log is not None:
            self._log.store_last()

    def tell_at_once(self) -> None:
        """Write what was told last now: before the job ends, as no beat comes after that."""
        self._renew()

    def stop(self, reason: StopReason) -> None:
        """Ask the job to stop; the first reason counts. Safe in a signal handler.

        A pause gives way to any other reason: it alone may take as long as the job's next batch does.
        """
        if self._reason in (None, "paused") and reason != self._reason:
            self._reason = reason
            self._stop_since = None if reason == "paused" else time.monotonic()

    @property
    def has_left(self) -> bool:
        """Whether the job itself is done with."""
        return self.is_over and not self.is_deaf

    @property
    def must_stop(self) -> bool:
        """Whether the job must stop at its next batch."""
        return self._reason is not None

    @property
    def must_save(self) -> bool:
        """Whether the job must stop and will go on later, so that what it has done so far is worth saving."""
        return self._reason in ("shutdown", "paused")

    def checkpoint(self) -> None:
        """Raise `Stopped` if the job must stop. Call between batches."""
        if self._reason is not None:
            raise Stopped(self._reason)

    def beat(self) -> bool:
        """Renew the lease and store the log; False where the database is away.

        What keeps the one away keeps the other: a log waits for the next beat, in the place of all who beat with it.
        """
        taken = self._renew()
        if self._log is not None and not self._is_late:
            self._log.store()
        return taken

    def end_if_deaf(self) -> None:
        """Write down the end of a job that was told to stop and did not within its grace."""
        if self._stop_since is not None and time.monotonic() - self._stop_since > self._settings.stop_grace_s:
            self._end_in_its_stead()

    @property
    def every_s(self) -> float:
        """How long it is until the next beat: beside hundreds of workers longer, so that the database bears them all.

        Not after a beat that failed: a lease of which a third has gone by outlives a short outage so.
        """
        if self._is_late:
            return self._settings.heartbeat_s
        return beats_every_s(self._settings.heartbeat_s, self._settings.lease_s, self._alive)

    def _renew(self) -> bool:
        self._is_late = True
        try:
            with self._database.writing() as session:
                asked = self._renew_lease(session)
        except LeaseLost:
            self.stop("lease_lost")
        except OperationalError as error:
            # Whoever could take the job over cannot reach the database either; if it is this machine alone that cannot,
            # the job's next write finds out.
            logger.warning("The database did not take a heartbeat of %s: %s", self._held.id, error)
            return says_locked(error)
        except Exception:
            logger.exception("A heartbeat of %s failed.", self._held.id)
            if time.monotonic() - self._renewed > self._settings.lease_s:
                self.stop("lease_lost")
        else:
            self._renewed, self._is_late = time.monotonic(), False
            self._hear(asked)
        return True

    def _renew_lease(self, session: Session) -> Asked | None:
        lease_s = self._settings.lease_s
        if time.monotonic() >= self._count_next:
            self._alive, _ = workers.count_alive(session)
            self._count_next = time.monotonic() + _COUNT_EVERY_S
        if isinstance(self._held, Help):
            return helpers.renew(session, self._held, lease_s)
        return jobs.renew(session, self._held, lease_s, self._progress)

    def _hear(self, asked: Asked | None) -> None:
        match asked:
            case "cancel":
                self.stop("cancelled")
            case "pause":
                self.stop("paused")
            case None if self._reason == "paused":
                # It was resumed before it came to its next batch.
                self._reason = None

    def _end_in_its_stead(self) -> None:
        try:
            if self._reason is not None:
                end(self._database, self._held, self._reason)
        except OperationalError as error:
            # It is tried again after the next beat: where the row is locked the others do not have to wait for it, and
            # where the database is away the job itself may have stopped and wait to write down its end.
            logger.warning("The database did not take the end of %s: %s", self._held.id, error)
            return
        except Exception:
            logger.exception("The end of %s could not be written; its lease will run out.", self._held.id)
        if self._log is not None:
            self._log.store_last()
        self.is_over = self.is_deaf = True
        self.course.end(self._database)


@contextmanager
def beating(*heartbeats: Heartbeat) -> Iterator[tuple[Heartbeat, ...]]:
    """One thread beats for all of them, one after the other, while the block runs.

    The process ends with what was to be done by a job that does not listen, once none of the others is at work.
    """
    if len(heartbeats) > 1:
        for heartbeat in heartbeats:
            heartbeat.share_thread(len(heartbeats))
    ended = threading.Event()
    thread = threading.Thread(target=_beat, args=(heartbeats, ended), name="heartbeat", daemon=True)
    thread.start()
    try:
        yield heartbeats
    finally:
        ended.set()
        thread.join()


def until_next_s(heartbeats: Sequence[Heartbeat]) -> float:
    """How long the next round of beats is to wait: as long as the most urgent of the jobs that are not over."""
    return min((each.every_s for each in heartbeats if not each.is_over), default=heartbeats[0].every_s)


def _beat(heartbeats: tuple[Heartbeat, ...], ended: threading.Event) -> None:
    parent = multiprocessing.parent_process()
    while not ended.wait(until_next_s(heartbeats)):
        if parent is not None and not parent.is_alive():
            # Nobody is left to restart these jobs or to count them; the leases run out and other workers take them.
            os._exit(ORPHANED)
        beat = [heartbeat for heartbeat in heartbeats if not heartbeat.is_over]
        # Where the database is away for one it is for all, and each would wait for it; a locked row is one's own.
        all(heartbeat.beat() for heartbeat in beat)
        for heartbeat in beat:
            heartbeat.end_if_deaf()
        if all(heartbeat.is_over for heartbeat in heartbeats) and any(heartbeat.is_deaf for heartbeat in heartbeats):
            os._exit(0)


def end(database: Database, held: Claim | Help, reason: StopReason, *, patience_s: float = 0.0) -> None:
    """Write down that a stopped job stopped, unless another attempt has it by now.

    Raises:
        OperationalError: the database stayed away for so long.
    """
    if isinstance(held, Help):
        database.write(partial(helpers.leave, helped=held), patience_s=patience_s)
        return

    def write(session: Session) -> None:
        match reason:
            case "cancelled":
                jobs.finish(session, held, "cancelled", "user")
            case "paused":
                # If it was resumed meanwhile, it waits in the queue.
                jobs.release(session, held, None)
            case "shutdown":
                jobs.release(session, held, "worker_shutdown")
            case "lease_lost":
                pass
        failpoints.reach("stopping")

    try:
        database.write(write, patience_s=patience_s)
    except LeaseLost:
        logger.info("The %s %s stopped; its end is written already, or another attempt has it.", held.kind, held.id)

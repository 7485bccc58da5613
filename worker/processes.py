"""One fresh process per job, made by a fork server that has torch loaded but never touches a GPU.

Runs that are trained together have one between them. A process starts in 45 ms (after 2.5 s for the first), and all its
memory, the GPU's too, comes back when it ends. One that hangs does not renew its leases, and is ended by this worker
once they have run out; its slot is free then, even where the kernel does not let go of it.
"""

import logging
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from store import failpoints, job_logs
from store.database import Database, db_now
from store.errors import LeaseLost
from store.queue import fused, helpers, jobs, turns
from store.queue.helpers import Help
from store.queue.jobs import Claim, Hold
from worker import fork_server
from worker.entry import enter
from worker.forked import Forked, ForkServerLost, NotStarted
from worker.preparation import DeviceUnusable, NetworksUnusable, Preparation
from worker.settings import WorkerSettings
from worker.spans import Spans, Tell
from worker.unhelped import NOTHING_LEFT, Unhelped

logger = logging.getLogger(__name__)

# After the grace that a job has for its own end.
_LAST_GRACE_S = 3.0
# A process that is ended is gone within milliseconds; to give back a GPU's memory takes it a second or two.
_DIES_WITHIN_S = 10.0
_LOOK_EVERY_S = 1.0
_LOOK_AT_END_S = 0.05


@dataclass(eq=False)
class _Job:
    """A process and what was claimed for it: a job, several runs that are trained together, or a share of another's.

    `gone_since` is when it was first seen that no job is its attempt's any more, `killed_at` when it was ended.
    """

    claims: Sequence[Claim | Help]
    process: Forked
    gone_since: float | None = None
    killed_at: float | None = None

    @property
    def name(self) -> str:
        first, others = self.claims[0], len(self.claims) - 1
        return f"{first.job} {first.speaker}" + (f" and {others} more" if others else "")


_Find = Callable[[], Sequence[Claim | Help]]


class JobProcesses:
    """The processes of the jobs that this worker holds, at most one per slot. Thread-safe."""

    def __init__(self, settings: WorkerSettings, database: Database, tell: Tell | None = None) -> None:
        """`tell` sends spans, if any are wanted."""
        self._settings = settings
        self._database = database
        self.spans = Spans(database, tell)
        self._slots = threading.BoundedSemaphore(settings.worker_slots)
        self._jobs: list[_Job] = []
        self._lock = threading.Lock()
        self._closing = False
        self.preparation = Preparation(settings)
        self._unhelped = Unhelped()

    @property
    def free_slots(self) -> int:
        """How many more jobs could start now."""
        return 0 if self._closing else self._settings.worker_slots - len(self._jobs)

    def run(self) -> None:
        """Once a slot is free, do the job whose turn it is in a process of its own; returns when that ends.

        Nothing happens if no job waits.
        """
        wait_s = 0.0
        while not self._slots.acquire(timeout=wait_s):
            # And again: whoever only began to help could not be ended at the first look.
            self.make_room()
            wait_s = _LOOK_EVERY_S
        try:
            self._do(self._claim)
        finally:
            self._slots.release()

    def start(self) -> None:
        """The same in a thread of its own, and only if a slot is free now."""
        self._start(self._claim)

    def help(self) -> None:
        """Likewise, help with an evaluation that another slot holds, if there is one that is worth it."""
        if self._settings.helps == "on":
            self._start(self._claim_help)

    def _start(self, find: _Find) -> None:
        # No daemon: the worker's end waits until what its jobs leave behind is written down.
        threading.Thread(target=self._run_at_once, args=(find,), name="job").start()

    def _run_at_once(self, find: _Find) -> None:
        if not self._slots.acquire(blocking=False):
            return
        try:
            self._do(find)
        finally:
            self._slots.release()

    def _claim(self) -> Sequence[Claim]:
        name, lease_s = self._settings.worker_name, self._settings.lease_s
        most = self._settings.fused_runs_on(self.preparation.device_type)
        with self._database.writing() as session:
            return fused.claim_next(session, name, lease_s, most=most)

    def _claim_help(self) -> Sequence[Help]:
        name, lease_s = self._settings.worker_name, self._settings.lease_s
        with self._database.writing() as session:
            helped = helpers.claim(session, name, lease_s, self.preparation.device_type, but_not=self._unhelped.ids())
        return [] if helped is None else [helped]

    def _do(self, find: _Find) -> None:
        if self._closing:
            return
        try:
            self.preparation.make()
            claims = find()
        except (DeviceUnusable, NetworksUnusable, NotStarted, OperationalError) as error:
            logger.error("No job could be claimed: %s", error)  # noqa: TRY400  # each says all that there is to say
            return
        except Exception:
            # The job, if there was one, is found by the reconciler.
            logger.exception("No job could be claimed.")
            return
        if not claims:
            return
        failpoints.reach("claimed")
        told = self._settings, claims, self.spans.theirs
        job = _Job(claims, Forked(enter, told, claims[0].id))
        with self._lock:
            self._jobs.append(job)
        try:
            self._await_end(job)
        except Exception:
            logger.exception("%s could not be started or put back.", job.name)
        finally:
            with self._lock:
                self._jobs.remove(job)

    def _await_end(self, job: _Job) -> None:
        try:
            # Without the lock, which a fork server that hangs would keep from everybody.
            job.process.start()
        except NotStarted as why:
            self.preparation.doubt()
            # A fork server is made anew; room is made by somebody, and until then every attempt is in vain.
            retry_s = 0.0 if isinstance(why, ForkServerLost) else self._settings.retry_s
            self._give_back(job, f"could not be started ({why})", unstarted_for_s=retry_s)
            return
        experiment = job.claims[0].experiment or "no experiment"
        logger.info("%s of %s starts as process %d.", job.name, experiment, job.process.pid)
        if self._closing:
            job.process.terminate()
        self._see_it_end(job)

    def _see_it_end(self, job: _Job) -> None:
        """Wait for the process's end, or until it is plain that the kernel keeps it: its slot is free then as well."""
        while not job.process.has_ended(_LOOK_EVERY_S):
            if job.killed_at is not None and time.monotonic() - job.killed_at > _DIES_WITHIN_S:
                job.process.let_go()
                self._give_back(job, "was ended by SIGKILL, but the kernel does not let go of it: it keeps its memory")
                return
        exit_code = job.process.exit_code
        if exit_code is None and job.killed_at is not None:
            exit_code = -signal.SIGKILL
        if exit_code != 0:
            self._give_back(job, _ending(exit_code), is_fault=exit_code != NOTHING_LEFT)

    def make_room(self) -> None:
        """End one of the processes that help another worker, if a job waits: at most a batch is lost by that."""
        with self._lock:
            helping = [job for job in self._jobs if isinstance(job.claims[0], Help)]
        ending = [job for job in helping if job.killed_at is not None]
        # One whose process is not there yet cannot be ended by itself; the next look finds it.
        going = [job for job in helping if job.killed_at is None and job.process.pid is not None]
        if not going:
            return
        with self._database.reading() as session:
            if turns.count_waiting(session) <= len(ending):
                return
        logger.info("%s makes room for a job that waits.", going[0].name)
        self._kill(going[0])

    def end_hung(self, may_judge: Callable[[float], bool] = lambda _: True) -> None:
        """End the processes that let their lease run out, or go on although their job is no longer theirs.

        The lease is the database's: where that is away, nobody can tell, and nobody else can take the job. `may_judge`
        is asked whether leases that ran out by a moment of its clock say anything.
        """
        with self._lock:
            running = list(self._jobs)
        if not running:
            return
        with self._database.reading() as session:
            holds = {held: _hold(session, held) for job in running for held in job.claims}
            judged = may_judge(session.scalars(select(db_now())).one())
        now = time.monotonic()
        for job in running:
            # A process that renews one of its leases does not hang, and what it has given up is its own affair.
            match {holds[held] for held in job.claims} - {"gone"}:
                case kept if "kept" in kept:
                    job.gone_since = None
                case expired if expired:
                    if judged:
                        logger.error("%s hangs: it did not renew its lease. Its process is ended.", job.name)
                        self._kill(job)
                case _:
                    # Told by its heartbeat, it may take so long to stop, or to tidy up after its end.
                    job.gone_since = job.gone_since or now
                    if now - job.gone_since > self._settings.stop_grace_s + _LAST_GRACE_S:
                        logger.error("%s does not end although its job is over. Its process is ended.", job.name)
                        self._kill(job)

    def shut_down(self) -> None:
        """Ask every job to stop at its next batch and go back to the queue; start no more.

        Those that do not end within their grace are ended.
        """
        self._closing = True
        with self._lock:
            running = list(self._jobs)
        for job in running:
            if job.process.pid is not None:
                job.process.terminate()
        last = threading.Timer(self._settings.stop_grace_s + _LAST_GRACE_S, self._end_all)
        last.daemon = True
        last.start()

    def await_end(self) -> None:
        """Return when all processes have ended, and what they leave behind is written down; after `shut_down`."""
        while self._jobs:
            time.sleep(_LOOK_AT_END_S)
        self.spans.close()

    def _end_all(self) -> None:
        with self._lock:
            running = list(self._jobs)
        for job in running:
            logger.error("%s does not stop. Its process is ended.", job.name)
            self._kill(job)

    def _kill(self, job: _Job) -> None:
        # One that is deep in the kernel ends when it comes out of there; until then it keeps its memory.
        if job.process.pid is not None:
            job.process.kill()
            job.killed_at = job.killed_at or time.monotonic()
            return
        # Its fork server does not answer. Whoever waits for it hears that it ended; the next start makes a new one.
        if job.process.server is not None:
            fork_server.end(job.process.server)

    def _give_back(self, job: _Job, how: str, *, is_fault: bool = True, unstarted_for_s: float | None = None) -> None:
        """Put back what it held; what never began is not claimed again for so long."""
        for held in job.claims:
            if isinstance(held, Help):
                self._end_help(job, held, how, is_fault=is_fault)
                continue
            fault = f"The process of attempt {held.token} {how}."
            lost = [held]
            with self._database.writing() as session:
                try:
                    if self._closing:
                        # It was told to stop before it could listen; that is no crash of its own.
                        jobs.release(session, held, "worker_shutdown")
                    elif unstarted_for_s is not None:
                        # Nor is this: this worker claims no more before it has proved that processes can be made here.
                        jobs.release(session, held, "not_started", fault, wait_s=unstarted_for_s)
                    else:
                        jobs.abandon(session, held, fault, retry_s=self._settings.retry_s)
                except LeaseLost:
                    if len(job.claims) > 1 or job.process.is_orphan:
                        # It had ended before its process did.
                        continue
                    # Whoever took it back has told of it, or it did itself.
                    lost = []
                told = f"{fault} Now {jobs.end_of(session, held)}"
                # Its own process could tell no more.
                job_logs.append(session, held.id, [told])
            logger.error("%s: %s", held.id, told)
            self.spans.tell_of_lost(lost)

    def _end_help(self, job: _Job, helped: Help, how: str, *, is_fault: bool) -> None:
        """What it had taken is free at once. One that was not ended by this worker was of no use in that evaluation.

        But for one that has outlived its fork server, as nobody can tell how it ended.
        """
        if job.killed_at is None and not job.process.is_orphan:
            self._unhelped.add(helped.evaluation)
            if is_fault:
                logger.warning("%s %s.", job.name, how)
        with self._database.writing() as session:
            helpers.leave(session, helped)


def _hold(session: Session, held: Claim | Help) -> Hold:
    return jobs.holds(session, [held])[held] if isinstance(held, Claim) else helpers.holds(session, [held])[held]


def _ending(exit_code: int | None) -> str:
    if exit_code is None:
        return "ended, and as the fork server had died before it, nobody can tell how"
    if exit_code >= 0:
        return f"ended with exit status {exit_code}"
    return f"was ended by {signal.Signals(-exit_code).name}"

"""Puts right what the broker lost and what dead workers held. Every worker does it; all of it is idempotent."""

import logging
from collections.abc import Callable

from sqlalchemy import select

from store.database import Database
from store.queue import helpers, jobs, turns
from store.queue.jobs import Claim
from store.traces import attempts
from worker.processes import JobProcesses

logger = logging.getLogger(__name__)


def _always() -> bool:
    return True


def reconcile(
    database: Database,
    processes: JobProcesses,
    *,
    retry_s: float,
    takes_part: Callable[[], bool] = _always,
    may_judge: Callable[[], bool] = _always,
) -> None:
    """End this worker's processes that hang, queue what dead workers held, start what waits, and help if there is room.

    Of many workers a few take part in the look for what dead ones held, which any of them may do. Where leases may not
    be judged by, as just after the database was away, nobody is taken for hung or dead.

    A job that waits beside a worker with room lost its message, or the broker is down, so it is started without one. A
    message that was merely on its way then finds nothing to do.
    """
    if may_judge():
        processes.end_hung()
        if takes_part():
            processes.spans.tell_of_lost(
                _take_back(database, retry_s, may_judge, tells=processes.spans.theirs is not None)
            )
    free = processes.free_slots
    if free <= 0:
        processes.make_room()
        return
    with database.reading() as session:
        waiting, helps = turns.count_waiting(session), helpers.any_wanted(session)
    for _ in range(min(free, waiting)):
        processes.start()
    for _ in range(free - waiting if helps else 0):
        processes.help()


def _take_back(database: Database, retry_s: float, may_judge: Callable[[], bool], *, tells: bool) -> list[Claim]:
    """Queue what dead workers held; returns, for who tells of them, which attempts those were of jobs in a trace."""
    lost: list[Claim] = []
    with database.writing() as session:
        # SQLite gives its lock with the first statement; whoever waited for it waited with those who renew leases.
        session.execute(select(1))
        if not may_judge():
            return lost
        for model in jobs.JOB_MODELS.values():
            taken = jobs.reclaim_expired(session, model, retry_s=retry_s)
            for identifier, status in taken.items():
                logger.warning("The lease of %s ran out: its worker died or hung. Now it is %s.", identifier, status)
            lost += attempts.lost(session, model, taken) if taken and tells else ()
        helpers.forget_expired(session)
    return lost

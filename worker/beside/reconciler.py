"""Puts right what the broker lost and what dead workers held. Every worker does it; all of it is idempotent."""

import logging
from collections.abc import Callable

from sqlalchemy import select

from store.database import Database, db_now
from store.queue import helpers, jobs, turns
from store.queue.jobs import Claim
from store.traces import attempts
from worker.processes import JobProcesses

logger = logging.getLogger(__name__)


def _always() -> bool:
    return True


def _of_all(_moment: float) -> bool:
    return True


def reconcile(
    database: Database,
    processes: JobProcesses,
    *,
    retry_s: float,
    takes_part: Callable[[], bool] = _always,
    may_judge: Callable[[float], bool] = _of_all,
) -> None:
    """End this worker's processes that hang, queue what dead workers held, start what waits, and help if there is room.

    Of many workers a few take part in the look for what dead ones held, which any of them may do. `may_judge` is asked
    of a moment by the database's clock: where it says no, as just after the database was away, nobody whose lease had
    run out then is taken for hung or dead.

    A job that waits beside a worker with room lost its message, or the broker is down, so it is started without one. A
    message that was merely on its way then finds nothing to do.
    """
    processes.end_hung(may_judge)
    if takes_part():
        processes.spans.tell_of_lost(_take_back(database, retry_s, may_judge, tells=processes.spans.theirs is not None))
    free = processes.free_slots
    if free <= 0:
        processes.make_room()
        return
    with database.looking() as session:
        waiting, helps = turns.count_waiting(session), helpers.any_wanted(session)
    for _ in range(min(free, waiting)):
        processes.start()
    for _ in range(free - waiting if helps else 0):
        processes.help()


def _take_back(database: Database, retry_s: float, may_judge: Callable[[float], bool], *, tells: bool) -> list[Claim]:
    """Queue what dead workers held; returns, for who tells of them, which attempts those were of jobs in a trace."""
    lost: list[Claim] = []
    with database.looking() as session:
        if not helpers.any_expired(session):
            return lost
    with database.writing() as session:
        # After SQLite's lock, which comes with the first statement, and before any of PostgreSQL's: whoever waits for
        # one does so with those who renew leases, and what ran out meanwhile says nothing.
        moment = session.scalars(select(db_now())).one()
        if not may_judge(moment):
            return lost
        for model in jobs.JOB_MODELS.values():
            taken = jobs.reclaim_expired(session, model, retry_s=retry_s, at=moment)
            for identifier, status in taken.items():
                logger.warning("The lease of %s ran out: its worker died or hung. Now it is %s.", identifier, status)
            lost += attempts.lost(session, model, taken) if taken and tells else ()
        helpers.forget_expired(session, at=moment)
    return lost

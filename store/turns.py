"""Whose turn it is: in which order waiting jobs are claimed.

A free slot goes to the experiment with the fewest jobs running; among those, to the one that has waited longest since
one of its jobs was last started, or since its oldest waiting job was queued where that is later. Within an experiment
evaluations come before runs, as they complete it, and older jobs before newer ones. Evaluations that were asked for by
themselves take turns as if all of them were one experiment.

So what is short never waits for all of what is long: one job of each other experiment at most. The order is looked up
at each claim, and is that of the rows alone; a message of the broker says no more than that there is something to do.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Final

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from store import jobs
from store.database import take_turn
from store.jobs import Claim, JobKind

# Evaluations before runs.
_KINDS: Final[tuple[JobKind, ...]] = ("evaluation", "run")
# More in one statement would be too many for SQLite.
_MOST_COMPARED: Final = 1_000


@dataclass
class _Waiting:
    """What an experiment has waiting: its next job, and since when it waits."""

    kind: JobKind
    identifier: str
    since: float


def claim_next(session: Session, worker: str, lease_s: float) -> Claim | None:
    """Take the waiting job whose turn it is, or None if none waits."""
    # Of workers that ask at once, each sees what those before it took.
    take_turn(session, "claims")
    while (turn := whose_turn(session)) is not None:
        held = jobs.claim(session, *turn, worker, lease_s)
        if held is not None:
            return held
        # It was cancelled since it was looked up, and will not be found again.
    return None


def count_waiting(session: Session) -> int:
    """How many jobs may be claimed now."""
    models = (jobs.JOB_MODELS[kind] for kind in _KINDS)
    counts = (select(func.count()).select_from(model).where(*jobs.waiting(model)) for model in models)
    return sum(session.scalar(count) or 0 for count in counts)


def whose_turn(session: Session) -> tuple[JobKind, str] | None:
    """The job that is to be claimed next."""
    waiting = _waiting(session)
    if len(waiting) > 1:
        running = _running(session)
        fewest = min(running[experiment] for experiment in waiting)
        waiting = {experiment: job for experiment, job in waiting.items() if running[experiment] == fewest}
        longest = sorted(waiting, key=lambda experiment: waiting[experiment].since)[:_MOST_COMPARED]
        waiting = {experiment: waiting[experiment] for experiment in longest}
    if len(waiting) > 1:
        _wait_since_last_start(session, waiting)
    if not waiting:
        return None
    chosen = min(waiting.values(), key=lambda job: (job.since, job.kind, job.identifier))
    return chosen.kind, chosen.identifier


def _waiting(session: Session) -> dict[str | None, _Waiting]:
    """What waits, by experiment."""
    found: dict[str | None, _Waiting] = {}
    for kind in _KINDS:
        model = jobs.JOB_MODELS[kind]
        query = select(model.experiment_id, func.min(model.id), func.min(model.created_at))
        for experiment, oldest, since in session.execute(
            query.where(*jobs.waiting(model)).group_by(model.experiment_id)
        ):
            first = found.setdefault(experiment, _Waiting(kind, oldest, since))
            first.since = min(first.since, since)
    return found


def _running(session: Session) -> Counter[str | None]:
    counts: Counter[str | None] = Counter()
    for kind in _KINDS:
        model = jobs.JOB_MODELS[kind]
        query = select(model.experiment_id, func.count()).where(model.status == "running")
        for experiment, running in session.execute(query.group_by(model.experiment_id)):
            counts[experiment] += running
    return counts


def _wait_since_last_start(session: Session, waiting: dict[str | None, _Waiting]) -> None:
    """Let each experiment's wait begin no earlier than its last start."""
    for kind in _KINDS:
        model = jobs.JOB_MODELS[kind]
        column = model.experiment_id
        named = [experiment for experiment in waiting if experiment is not None]
        ours = column.in_(named) if None not in waiting else or_(column.in_(named), column.is_(None))
        query = select(column, func.max(model.started_at)).where(ours).group_by(column)
        for experiment, started in session.execute(query):
            waiting[experiment].since = max(waiting[experiment].since, started or 0.0)

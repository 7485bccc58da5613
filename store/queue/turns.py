"""Whose turn it is: in which order waiting jobs are claimed.

A free slot goes to what is not low before what is; then to the owner with the fewest slots taken, and of that owner's
to the highest priority, and there to the experiment with the fewest. Among equals it goes to whoever has
waited longest since one of its jobs was last started, or since its oldest waiting job was queued where that is later.
Within an experiment evaluations come before runs, as they complete it, and older jobs before newer ones. Evaluations
that were asked for by themselves take turns as if all of their owner's were one experiment.

So what is short never waits for all of what is long: one job of each other owner or experiment at most. And nobody
takes another's turn by calling their own work high. The order is looked up at each claim, and is that of the rows
alone; a message of the broker says no more than that there is something to do.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Row, Select, and_, func, literal, or_, select, union_all
from sqlalchemy.orm import Session

from gauntlet.spec.asked.priorities import PRIORITIES
from store.database import take_turn
from store.models import Run
from store.queue import jobs
from store.queue.jobs import Claim, JobKind

# Evaluations before runs.
_KINDS: Final[tuple[JobKind, ...]] = ("evaluation", "run")
# More in one statement would be too many for SQLite.
_MOST_COMPARED: Final = 1_000
# A worker that is stopped as it claims, before those who wait for it give up.
_LET_GO_AFTER_S: Final = 5
_LOW: Final = PRIORITIES.index("low")

_Place = tuple[str | None, str | None]


class _Group(NamedTuple):
    """What waits together: one priority of one experiment. Evaluations by themselves are one group of their owner's."""

    priority: int
    owner: str | None
    experiment: str | None


@dataclass
class _Waiting:
    """A group's next job, and since when the group waits."""

    kind: JobKind
    identifier: str
    since: float


_Groups = dict[_Group, _Waiting]


def claim_next(session: Session, worker: str, lease_s: float) -> Claim | None:
    """Take the waiting job whose turn it is, or None if none waits."""
    # Of workers that ask at once, each sees what those before it took.
    take_turn(session, "claims", let_go_after_s=_LET_GO_AFTER_S)
    while (turn := whose_turn(session)) is not None:
        held = jobs.claim(session, *turn, worker, lease_s)
        if held is not None:
            return held
        # It was cancelled since it was looked up, and will not be found again.
    return None


def count_waiting(session: Session) -> int:
    """How many jobs may be claimed now."""
    models = (jobs.JOB_MODELS[kind] for kind in _KINDS)
    counts = (select(func.count()).select_from(model).where(*jobs.waiting(model)).scalar_subquery() for model in models)
    return sum(session.execute(select(*counts)).one())


def whose_turn(session: Session) -> tuple[JobKind, str] | None:
    """The job that is to be claimed next."""
    waiting = _waiting(session)
    waiting = _of(waiting, lambda group: group.priority < _LOW) or waiting
    if len(waiting) > 1:
        running = _running(session)
        waiting = _of_one_owner(session, waiting, running)
        highest = min(group.priority for group in waiting)
        waiting = _of(waiting, lambda group: group.priority == highest)
        fewest = min(running[group.owner, group.experiment] for group in waiting)
        waiting = _of(waiting, lambda group: running[group.owner, group.experiment] == fewest)
        longest = sorted(waiting, key=lambda group: waiting[group].since)[:_MOST_COMPARED]
        waiting = {group: waiting[group] for group in longest}
    if len(waiting) > 1:
        _wait_since_last_start(session, waiting)
    if not waiting:
        return None
    chosen = min(waiting.values(), key=lambda job: (job.since, job.kind, job.identifier))
    return chosen.kind, chosen.identifier


def _of(waiting: _Groups, wanted: Callable[[_Group], bool]) -> _Groups:
    return {group: job for group, job in waiting.items() if wanted(group)}


def _of_one_owner(session: Session, waiting: _Groups, running: Counter[_Place]) -> _Groups:
    """What waits of the owner with the fewest jobs running, or of those the one that has waited longest."""
    counts: Counter[str | None] = Counter()
    for (owner, _), count in running.items():
        counts[owner] += count
    owners = {group.owner for group in waiting}
    fewest = min(counts[owner] for owner in owners)
    tied = [owner for owner in owners if counts[owner] == fewest]
    if len(tied) > 1:
        since = {
            owner: max(min(job.since for group, job in waiting.items() if group.owner == owner), started)
            for owner in tied
            for started in [_last_start(session, owner)]
        }
        tied.sort(key=lambda owner: (since[owner], owner or ""))
    return _of(waiting, lambda group: group.owner == tied[0])


def _last_start(session: Session, owner: str | None) -> float:
    """When a job of the owner's was last started; 0 where none was."""
    models = (jobs.JOB_MODELS[kind] for kind in _KINDS)
    last = (select(func.max(model.started_at)).where(model.owner == owner).scalar_subquery() for model in models)
    return max(start or 0.0 for start in session.execute(select(*last)).one())


def _of_both(session: Session, query: Callable[[JobKind], Select[*tuple[Any, ...]]]) -> Sequence[Row[*tuple[Any, ...]]]:
    """The rows of both kinds of jobs, each with its kind, in one statement: all claims wait for this one."""
    return session.execute(union_all(*(query(kind).add_columns(literal(kind)) for kind in _KINDS))).all()


def _waiting(session: Session) -> _Groups:
    """What waits, by group."""

    def query(kind: JobKind) -> Select[*tuple[Any, ...]]:
        model = jobs.JOB_MODELS[kind]
        group = model.priority, model.owner, model.experiment_id
        oldest = func.min(model.id), func.min(model.created_at)
        return select(*group, *oldest).where(*jobs.waiting(model)).group_by(*group)

    found: _Groups = {}
    for priority, owner, experiment, oldest, since, kind in _of_both(session, query):
        first = found.setdefault(_Group(priority, owner, experiment), _Waiting(kind, oldest, since))
        if kind == _KINDS[0]:
            first.kind, first.identifier = kind, oldest
        first.since = min(first.since, since)
    return found


def _running(session: Session) -> Counter[_Place]:
    """How many slots each has; runs that are computed as one share theirs."""

    def query(kind: JobKind) -> Select[*tuple[Any, ...]]:
        model = jobs.JOB_MODELS[kind]
        place = model.owner, model.experiment_id
        slots = func.count(func.coalesce(Run.fused_with, Run.id).distinct()) if model is Run else func.count()
        return select(*place, slots).where(model.status == "running").group_by(*place)

    counts: Counter[_Place] = Counter()
    for owner, experiment, running, _ in _of_both(session, query):
        counts[owner, experiment] += running
    return counts


def _wait_since_last_start(session: Session, waiting: _Groups) -> None:
    """Let each group's wait begin no earlier than the last start in its experiment; all are of one owner."""
    groups = {group.experiment: group for group in waiting}
    owner = next(iter(waiting)).owner

    def query(kind: JobKind) -> Select[*tuple[Any, ...]]:
        model = jobs.JOB_MODELS[kind]
        column = model.experiment_id
        ours: ColumnElement[bool] = column.in_([experiment for experiment in groups if experiment is not None])
        if None in groups:
            ours = or_(ours, and_(column.is_(None), model.owner == owner))
        return select(column, func.max(model.started_at)).where(ours).group_by(column)

    for experiment, started, _ in _of_both(session, query):
        job = waiting[groups[experiment]]
        job.since = max(job.since, started or 0.0)

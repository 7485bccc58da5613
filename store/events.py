"""The one list of what happened: written in the transaction of what it tells of, read in order by everybody.

Ids are given at the end of a transaction, under a lock that is kept until its commit. So they become visible in their
order on PostgreSQL too, whose sequence is counted at once and whose commits come as they like: who has seen one id has
seen every smaller one that there will be. After it only experiments are locked, whose status changes, and who locks
one otherwise has all its jobs by then, or waits for nothing more: so nobody waits for two things crosswise.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import delete, func, insert, null, select, update
from sqlalchemy.orm import Session

from gauntlet import resources
from gauntlet.resources import EventType
from store.database import Database, db_now, do_last, take_turn
from store.models import Evaluation, Event, Experiment, Run
from store.shown import standings
from store.shown.pages import PageOf, oldest_first
from store.subjects.forgetting import forget_older
from store.texts import plain
from store.times import as_datetime

# What a run's owner reads of it, and what no other row says.
NOTES: Final[tuple[EventType, ...]] = ("note", "alarm")
# The lock, and what those who listen are told by.
TURN: Final = "events"
_PENDING: Final = "gauntlet_events"
_LONGEST_MESSAGE: Final = 2_000
# A process that is stopped while it holds the lock lets go of it after this, before those who wait give up.
_LET_GO_AFTER_S: Final = 5


@dataclass(frozen=True)
class News:
    """Something worth telling of `subject`. `kind` names it in one word, `message` says it in a sentence."""

    type: EventType
    kind: str
    subject: str
    message: str
    experiment: str | None = None
    attempt: int | None = None
    epoch: int | None = None
    data: Mapping[str, Any] = field(default_factory=dict)


def tell(session: Session, *news: News) -> None:
    """Add events in this transaction, at its end; where a job's status changed, its experiment's too if it did."""
    if not news:
        # Nobody waits for it, and who listens is not woken.
        return
    if _PENDING not in session.info:
        session.info[_PENDING] = []
        do_last(session, _record)
    session.info[_PENDING].extend(news)


def job_columns(model: type[Run] | type[Evaluation]) -> Sequence[Any]:
    """What a statement that changes the status of jobs returns for `tell_statuses`."""
    run: Any = model.run_id if issubclass(model, Evaluation) else null()
    job = model.id, model.experiment_id, model.status, model.status_reason, model.status_detail
    return *job, model.attempt, model.worker, model.traceparent, run.label("run")


def tell_statuses(session: Session, model: type[Run] | type[Evaluation], rows: Iterable[Any]) -> None:
    """Tell of the status that each job has now; `rows` are of `job_columns`."""
    kind = "run" if model is Run else "evaluation"
    tell(session, *(_status_news(kind, row) for row in rows))


def tell_queued(session: Session, jobs: Iterable[Run | Evaluation]) -> None:
    """Tell of jobs that were made just now."""
    for job in jobs:
        kind, run = ("evaluation", job.run_id) if isinstance(job, Evaluation) else ("run", None)
        data = {"reason": None} | ({"run": run} if run else {})
        message = f"The {kind} is queued."
        tell(session, News("status", "queued", job.id, message, job.experiment_id, data=data))


def sentence(kind: str, job: Any) -> str:
    """How a job stands and why."""
    reason = f" ({job.status_reason})" if job.status_reason else ""
    detail = f": {job.status_detail}" if job.status_detail else "."
    return f"the {kind} is {job.status}{reason}{detail}"


def _status_news(kind: str, row: Any) -> News:
    said = sentence(kind, row)
    data = {"reason": row.status_reason} | ({"run": row.run} if row.run else {})
    if row.status == "running":
        said = f"the {kind} is running: attempt {row.attempt} on {row.worker}."
        data |= {"worker": row.worker}
    return News("status", row.status, row.id, f"T{said[1:]}", row.experiment_id, row.attempt, data=data)


def _record(session: Session) -> None:
    """Give the transaction's events their ids."""
    news: list[News] = session.info.pop(_PENDING)
    take_turn(session, TURN, let_go_after_s=_LET_GO_AFTER_S, is_announced=True)
    # Of jobs that end at once, the last to come here sees that the others ended.
    touched = dict.fromkeys(item.experiment for item in news if item.type == "status" and item.experiment)
    news += filter(None, (_experiment_news(session, experiment) for experiment in touched))
    rows = [
        {
            "type": item.type,
            "kind": item.kind,
            "subject": item.subject,
            "experiment_id": item.experiment,
            "attempt": item.attempt,
            "epoch": item.epoch,
            "message": plain(item.message, at_most=_LONGEST_MESSAGE),
            "data": dict(item.data),
        }
        for item in news
    ]
    session.execute(insert(Event).values(created_at=db_now()), rows)


def _experiment_news(session: Session, identifier: str) -> News | None:
    status = standings.status_of(session, identifier)
    if status is None:
        return None
    # Mostly it stays as it is; to write its row again, with its spec, costs more than to look.
    changes = Experiment.id == identifier, Experiment.status != status
    changed = session.execute(update(Experiment).where(*changes).values(status=status).returning(Experiment.id))
    if changed.one_or_none() is None and (status != "queued" or _was_told(session, identifier)):
        return None
    return News("status", status, identifier, f"The experiment is {status}.", identifier)


def _was_told(session: Session, identifier: str) -> bool:
    """Whether there is an event of the experiment's status: it is made as one that is queued."""
    told = select(Event.id).where(Event.subject == identifier, Event.type == "status")
    return session.scalar(told.limit(1)) is not None


def page(
    session: Session,
    *,
    subject: str | None = None,
    experiment: str | None = None,
    types: Sequence[EventType] = (),
    after: int | None,
    limit: int,
) -> PageOf[Event]:
    """Events in order from the one after `after`; of one subject, of one experiment and its jobs, of some types."""
    query = select(Event)
    if subject is not None:
        query = query.where(Event.subject == subject)
    if experiment is not None:
        query = query.where(Event.experiment_id == experiment)
    if types:
        query = query.where(Event.type.in_(types))
    return oldest_first(session, query, Event.id, after=after, limit=limit)


def newest(session: Session) -> int:
    """The largest id that is seen, 0 before the first."""
    return session.scalar(select(func.max(Event.id))) or 0


def rewind(session: Session, run_id: str, *, to_epoch: int) -> None:
    """Forget what a run told of the epochs after `to_epoch`, which it will do and tell again."""
    session.execute(delete(Event).where(Event.subject == run_id, Event.epoch > to_epoch))


def forget_old(database: Database, *, older_than_days: int) -> int:
    """Forget what other rows say too and what is that old; returns how many events that were.

    A run's notes stay as long as the run.
    """
    return forget_older(database, Event, older_than_days, Event.type.not_in(NOTES))


def show(row: Event) -> resources.Event:
    """One event as the API shows it."""
    return resources.Event(
        id=row.id,
        created_at=as_datetime(row.created_at),
        type=row.type,
        kind=row.kind,
        subject=row.subject,
        experiment=row.experiment_id,
        attempt=row.attempt,
        epoch=row.epoch,
        message=row.message,
        data=row.data,
    )

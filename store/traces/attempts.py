"""How an attempt at a job went, as its events tell it: whoever finds it over can tell of it as one span.

So the span of an attempt that was killed is there too, told by whoever put its job back, and all that tell of one
attempt tell the same. Times are the database's, of which only differences count: clocks of hosts need not agree.
"""

import hashlib
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from store.database import db_now
from store.models import Event, Run
from store.queue.jobs import Claim, JobKind, JobModel
from store.queue.unpacking import Unpacking
from store.traces.spans import Attributes, Span, below

# From a job's queueing to its attempt's end there are three. Others come after it only where somebody looks late.
_LOOKED_AT: Final = 50
# An attempt that ends so has no fault.
_ORDERLY: Final = (None, "worker_shutdown", "restored")


@dataclass(frozen=True)
class _Status:
    """A status that a job had from `since` on, in seconds since 1970 by this host's clock."""

    kind: str
    attempt: int | None
    since: float
    data: Mapping[str, Any]


@dataclass(frozen=True)
class _Course:
    """From when an attempt's job waited, when it was claimed, and how that ended; None what is not known."""

    queued: _Status | None
    claimed: _Status | None
    ended: _Status | None


def lost(session: Session, model: JobModel, identifiers: Collection[str]) -> list[Claim]:
    """The attempts of jobs that were taken back in this transaction, as far as they are in a trace."""
    kind: JobKind = "run" if model is Run else "evaluation"
    columns = model.id, model.attempt, model.experiment_id, model.traceparent
    taken = model.id.in_(identifiers), model.traceparent.is_not(None)
    rows = session.execute(select(*columns).where(*taken)).all()
    return [Claim(kind, row.id, row.attempt, row.experiment_id, row.traceparent) for row in rows]


def about(held: Claim) -> Attributes:
    """What every span of an attempt says."""
    whose = {} if held.experiment is None else {"gauntlet.experiment.id": held.experiment}
    return whose | {f"gauntlet.{held.kind}.id": held.id, "gauntlet.attempt": held.token}


def place_of(held: Claim) -> str | None:
    """Where the attempt's span stands: known to everybody who knows the attempt. None where its job is in no trace."""
    if held.traceparent is None:
        return None
    return below(held.traceparent, hashlib.sha256(f"{held.id} {held.token}".encode()).hexdigest()[:16])


def waited(session: Session, held: Claim) -> Iterator[Span]:
    """The span of the job's waiting before this attempt, if it is known."""
    if held.traceparent is None:
        return
    course = _course_of(session, held)
    if course.queued is not None and course.claimed is not None:
        yield Span(
            "queued", below(held.traceparent), held.traceparent, course.queued.since, course.claimed.since, about(held)
        )


def ended(session: Session, held: Claim) -> Iterator[Span]:
    """The span of the attempt if it is over: its error is the reason that its job was put back or failed.

    Nothing where its events are forgotten, or its job is deleted.
    """
    place = place_of(held)
    if held.traceparent is None or place is None:
        return
    course = _course_of(session, held)
    if course.claimed is None or course.ended is None:
        return
    end, reason = course.ended, course.ended.data.get("reason")
    said = {
        "gauntlet.run.id": course.claimed.data.get("run"),
        "gauntlet.worker": course.claimed.data.get("worker"),
        "gauntlet.status": end.kind,
        "gauntlet.status_reason": reason,
    }
    told = {name: value for name, value in said.items() if value is not None}
    is_fault = end.kind == "failed" or (end.kind == "queued" and reason not in _ORDERLY)
    error = (reason or end.kind) if is_fault else None
    name = f"{held.kind} attempt"
    yield Span(name, place, held.traceparent, course.claimed.since, end.since, {**told, **about(held)}, error)


def unpacked(held: Unpacking, worker: str, began: float, status: str | None, reason: str | None) -> Iterator[Span]:
    """The spans of an attempt to unpack an archive, which is over now.

    `status` is the data set's, None if it is deleted; `reason` is why it has none made of it, as the API names it.
    """
    if held.traceparent is None:
        return
    whose: Attributes = {
        "gauntlet.dataset.id": held.id,
        "gauntlet.attempt": held.attempt,
        "gauntlet.worker": worker,
    }
    if held.attempt == 1:
        # How long it waited since an attempt before this one, no row says.
        yield Span("queued", below(held.traceparent), held.traceparent, began - held.age_s, began, whose)
    place, error = below(held.traceparent), None if reason in _ORDERLY else reason
    said = {"gauntlet.status": status, "gauntlet.status_reason": reason}
    ended = {**whose, **{name: value for name, value in said.items() if value is not None}}
    yield Span("unpacking attempt", place, held.traceparent, began, time.time(), ended, error)


def _course_of(session: Session, held: Claim) -> _Course:
    newest = _statuses(session, held.id)
    of_claim = next((n for n, each in enumerate(newest) if (each.kind, each.attempt) == ("running", held.token)), None)
    if of_claim is None:
        return _Course(None, None, None)
    before = next((each for each in newest[of_claim + 1 :] if each.kind == "queued"), None)
    return _Course(before, newest[of_claim], newest[of_claim - 1] if of_claim else None)


def _statuses(session: Session, job: str) -> Sequence[_Status]:
    """The last statuses of the job, the newest first."""
    told = select(Event.kind, Event.attempt, Event.created_at, Event.data, db_now().label("now"))
    query = told.where(Event.subject == job, Event.type == "status").order_by(Event.id.desc()).limit(_LOOKED_AT)
    rows = session.execute(query).all()
    here = time.time()
    return [_Status(row.kind, row.attempt, here - (row.now - row.created_at), row.data) for row in rows]

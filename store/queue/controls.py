"""What users ask of jobs that have not ended: to cancel, to pause, to go on, to be sooner or later.

Each is one conditional UPDATE: between two, a job could go from the one's status to the other's and be missed by both.
What waits follows at once. What runs hears of it with its next heartbeat and stops at its next batch; until then it is
its attempt's, and may still end otherwise.
"""

from typing import Any

from sqlalchemy import Update, case, false, null, or_, select, true, update
from sqlalchemy.orm import Session

from gauntlet.spec.asked.priorities import PRIORITIES, Priority
from store import events
from store.database import db_now
from store.queue.jobs import ACTIVE, JobModel
from store.traces import spans

# Of a request that has thousands of jobs go on.
_MOST_FOLLOWED = 16


def cancel(session: Session, model: JobModel, *where: Any) -> None:
    """Cancel the jobs that match. Ended ones stay as they are."""
    waiting = model.status.in_(("queued", "paused"))
    asked = _asked(model, *where, model.status.in_(ACTIVE))
    values = {
        "cancel_requested": True,
        "status": case((waiting, "cancelled"), else_=model.status),
        "status_reason": case((waiting, "user"), else_=model.status_reason),
        "finished_at": case((waiting, db_now()), else_=null()),
    }
    _change(session, model, asked.values(values), "cancelled")


def pause(session: Session, model: JobModel, *where: Any) -> None:
    """Pause the jobs that match until somebody resumes them. Those that were asked to cancel, or ended, stay so."""
    waiting = model.status == "queued"
    asked = _asked(model, *where, model.status.in_(("queued", "running")), model.cancel_requested.is_(false()))
    values = {
        "pause_requested": case((waiting, false()), else_=true()),
        "status": case((waiting, "paused"), else_=model.status),
        "status_reason": case((waiting, "user"), else_=model.status_reason),
    }
    _change(session, model, asked.values(values), "paused")


def resume(session: Session, model: JobModel, *where: Any) -> int:
    """Queue the paused jobs that match, to be claimed at once, and return how many these are.

    One that was asked to pause and has not stopped yet goes on.
    """
    paused = model.status == "paused"
    asked = _asked(
        model, *where, or_(paused, model.pause_requested.is_(true())), model.status.in_(("paused", "running"))
    )
    values = {
        "pause_requested": False,
        "status": case((paused, "queued"), else_=model.status),
        "status_reason": case((paused, null()), else_=model.status_reason),
        "status_detail": case((paused, null()), else_=model.status_detail),
        "not_before": case((paused, null()), else_=model.not_before),
    }
    if (place := spans.place_asked()) is not None:
        before = select(model.traceparent).where(*where, paused).distinct().limit(_MOST_FOLLOWED)
        spans.follow(session.scalars(before).all())
        values["traceparent"] = case((paused, place), else_=model.traceparent)
    return _change(session, model, asked.values(values), "queued")


def prioritise(session: Session, model: JobModel, priority: Priority, *where: Any) -> None:
    """Give the jobs that match and have not ended another priority; one that runs has it at its next attempt."""
    asked = _asked(model, *where, model.status.in_(ACTIVE))
    session.execute(asked.values(priority=PRIORITIES.index(priority)))


def _asked(model: JobModel, *where: Any) -> Update:
    """An UPDATE of the jobs that match, the older first, as several are claimed: so neither waits for the other."""
    matching = select(model.id).where(*where).order_by(model.id).with_for_update(key_share=True)
    return update(model).where(model.id.in_(matching))


def _change(session: Session, model: JobModel, asked: Update, status: str) -> int:
    """Do it, tell of the jobs that have that status now, and return how many these are; the others run on so far."""
    rows = session.execute(asked.returning(*events.job_columns(model))).all()
    changed = [row for row in rows if row.status == status]
    events.tell_statuses(session, model, changed)
    return len(changed)

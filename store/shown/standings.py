"""How an experiment stands, which is derived from its jobs."""

from collections import Counter
from collections.abc import Sequence

from sqlalchemy import func, select, union_all
from sqlalchemy.orm import Session

from gauntlet.resources import Status
from store.models import Evaluation, Run


def status_of(session: Session, experiment_id: str) -> Status | None:
    """The experiment's status, or None if it has no jobs; counted from its jobs but those that were retried."""
    counts: Counter[str] = Counter()
    of_both = (
        select(model.status, func.count())
        .where(model.experiment_id == experiment_id, model.retried_by.is_(None))
        .group_by(model.status)
        for model in (Run, Evaluation)
    )
    for status, count in session.execute(union_all(*of_both)):
        counts[status] += count
    return _overall(counts) if counts else None


def of_subject(session: Session, identifier: str) -> str | None:
    """The status of the experiment, run or evaluation with that id; None if there is none."""
    for model in (Run, Evaluation):
        if (status := session.scalar(select(model.status).where(model.id == identifier))) is not None:
            return status
    return status_of(session, identifier)


def overall_status(statuses: Sequence[str]) -> Status:
    """An experiment's status from its jobs': it runs until all have ended, and then shows the worst end."""
    return _overall(Counter(statuses))


def _overall(counts: Counter[str]) -> Status:
    ended = counts["succeeded"] + counts["failed"] + counts["cancelled"]
    if counts["running"] or (counts["queued"] and ended):
        return "running"
    if counts["queued"]:
        return "queued"
    if counts["paused"]:
        return "paused"
    if counts["failed"]:
        return "failed"
    return "cancelled" if counts["cancelled"] else "succeeded"

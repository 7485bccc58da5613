"""What there is and what it takes: jobs by status, the queue, and what each owner has."""

from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from gauntlet import resources
from store.accounts.quotas import Quotas, used_by_owner
from store.models import Evaluation, Run
from store.queue import jobs
from store.storage import Room
from store.times import as_datetime


def show(session: Session, quotas: Quotas, room: Room | None) -> resources.Usage:
    """All of it at this moment; `room` is what the disk of the checkpoints has, None where that cannot be told."""
    return resources.Usage(
        runs=_by_status(session, Run),
        evaluations=_by_status(session, Evaluation),
        queue=_queue(session),
        owners=_owners(session),
        quotas=resources.OwnerQuotas(**vars(quotas)),
        disk=_disk(room),
    )


def _by_status(session: Session, model: jobs.JobModel) -> dict[Any, int]:
    counts = session.execute(select(model.status, func.count()).group_by(model.status))
    return {status: int(count) for status, count in counts}


def _queue(session: Session) -> resources.Queue:
    """What waits, also for its next attempt, and since when the oldest of it was queued."""
    waiting, oldest = 0, None
    for model in jobs.JOB_MODELS.values():
        count, since = session.execute(
            select(func.count(), func.min(model.created_at)).where(model.status == "queued")
        ).one()
        waiting += count
        oldest = min((each for each in (oldest, since) if each is not None), default=None)
    return resources.Queue(waiting=waiting, oldest_at=as_datetime(oldest))


def _owners(session: Session) -> tuple[resources.OwnerUsage, ...]:
    """Everybody who has something, by name, and nobody last."""
    has = used_by_owner(session)
    named = sorted(has, key=lambda owner: (owner is None, owner or ""))
    return tuple(resources.OwnerUsage(owner=owner, **vars(has[owner])) for owner in named)


def _disk(room: Room | None) -> resources.Disk | None:
    """The room to two digits: it changes all the time by a little, and whoever asks again should hear of more only."""
    if room is None:
        return None
    step = 10 ** max(0, len(str(room.free)) - 2)
    return resources.Disk(total_bytes=room.total, free_bytes=room.free // step * step)

"""How much there is to do and how it goes, counted from rows: the same whichever process is asked."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from store import events
from store.database import db_now
from store.models import Delivery, EpochMetrics, Run
from store.queue import helpers, jobs
from store.queue.jobs import JobKind


@dataclass(frozen=True)
class JobLoad:
    """The jobs of one kind."""

    by_status: Mapping[str, int]
    waiting: int
    """How many could be claimed now."""
    oldest_s: float
    """How long the oldest of these has waited since it was made; 0 where none waits."""
    expired: int
    """How many run although their lease ran out: their worker died or hangs, and nobody has taken them back yet."""


@dataclass(frozen=True)
class Load:
    """All of it."""

    jobs: Mapping[JobKind, JobLoad]
    busy_workers: int
    """Those that have a job, or help with another's evaluation."""
    images_per_second: float
    """Of all runs that train, each as fast as in its last epoch."""
    newest_event: int
    deliveries: Mapping[str, int]
    """Those to webhooks that are kept, by how they stand."""


def read(session: Session) -> Load:
    """The load as it is now."""
    busy: set[str] = set()
    found: dict[JobKind, JobLoad] = {}
    for kind, model in jobs.JOB_MODELS.items():
        counted = session.execute(select(model.status, func.count()).group_by(model.status))
        by_status = {row.status: int(row[1]) for row in counted}
        waits = select(func.count(), db_now() - func.min(model.created_at)).where(*jobs.waiting(model))
        waiting, oldest = session.execute(waits).one()
        running = select(model.worker, model.lease_expires_at < db_now()).where(model.status == "running")
        held = session.execute(running).all()
        busy.update(worker for worker, _ in held if worker is not None)
        found[kind] = JobLoad(by_status, waiting, oldest or 0.0, sum(bool(expired) for _, expired in held))
    busy.update(helpers.workers(session))
    return Load(found, len(busy), _images_per_second(session), events.newest(session), _deliveries(session))


def _deliveries(session: Session) -> dict[str, int]:
    counted = session.execute(select(Delivery.status, func.count()).group_by(Delivery.status))
    return {row.status: int(row[1]) for row in counted}


def _images_per_second(session: Session) -> float:
    last = (
        select(EpochMetrics.run_id, func.max(EpochMetrics.epoch).label("epoch"))
        .join(Run, Run.id == EpochMetrics.run_id)
        .where(Run.status == "running")
        .group_by(EpochMetrics.run_id)
        .subquery()
    )
    rates = select(func.sum(EpochMetrics.images_per_second)).join(
        last, (EpochMetrics.run_id == last.c.run_id) & (EpochMetrics.epoch == last.c.epoch)
    )
    return session.scalar(rates) or 0.0

"""Who works: a row per worker, which the worker itself keeps fresh while it lives."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import delete, func, null, select, text, update
from sqlalchemy.orm import Session

from gauntlet import resources
from store.database import db_now
from store.models import Dataset, Evaluation, EvaluationHelper, Run, Worker
from store.queue.jobs import JOB_MODELS
from store.times import as_datetime

BEAT_EVERY_S: Final = 5.0
# Six beats, of which a busy database may hold up some.
ALIVE_WITHIN_S: Final = 30.0
# So long somebody may want to know what became of it.
_FORGOTTEN_AFTER_S: Final = 86_400.0
_LEASED: Final = (Run, Evaluation, EvaluationHelper, Dataset)
MOST_SHOWN: Final = 1_000


@dataclass(frozen=True)
class Presence:
    """What a worker says of itself."""

    name: str
    slots: int
    version: str
    networks: Mapping[str, str] = field(default_factory=dict)


def wait_as_leases_do(session: Session) -> None:
    """Wait for whoever keeps others from writing where leases are, as those wait who renew one.

    On SQLite whoever writes has waited for that.
    """
    if session.get_bind().dialect.name == "postgresql":
        tables = ", ".join(model.__tablename__ for model in _LEASED)
        # What an UPDATE takes.
        session.execute(text(f"LOCK TABLE {tables} IN ROW EXCLUSIVE MODE"))


def enter(session: Session, worker: Presence) -> None:
    """Begin its row anew, and forget the rows of those that have not been seen for a day."""
    session.execute(
        delete(Worker).where((Worker.name == worker.name) | (Worker.seen_at < db_now() - _FORGOTTEN_AFTER_S))
    )
    said = {"name": worker.name, "slots": worker.slots, "version": worker.version, "networks": dict(worker.networks)}
    row = Worker(**said, started_at=db_now(), seen_at=db_now())
    session.add(row)
    session.flush()


def beat(session: Session, worker: Presence) -> None:
    """Say that it lives, and what its jobs are computed on."""
    devices = (
        select(model.device).where(model.worker == worker.name, model.status == "running", model.device.is_not(None))
        for model in JOB_MODELS.values()
    )
    device = func.coalesce(*(query.limit(1).scalar_subquery() for query in devices), Worker.device)
    row = update(Worker).where(Worker.name == worker.name).values(seen_at=db_now(), device=device)
    if session.execute(row.returning(Worker.name)).one_or_none() is None:
        # Its clock, or its machine, stood still for a day.
        enter(session, worker)


def count_alive(session: Session) -> tuple[int, float]:
    """How many workers live, and by the database's clock when that is."""
    alive = select(func.count()).select_from(Worker).where(Worker.seen_at > db_now() - ALIVE_WITHIN_S)
    counted, now = session.execute(select(alive.scalar_subquery(), db_now())).one()
    return counted, now


def leave(session: Session, name: str) -> None:
    """Take the row of a worker that stops."""
    session.execute(delete(Worker).where(Worker.name == name))


def networks(session: Session) -> frozenset[str] | None:
    """The names of a team's own networks that workers have which live; None where none lives."""
    alive = session.scalars(select(Worker.networks).where(Worker.seen_at > db_now() - ALIVE_WITHIN_S)).all()
    return frozenset(name for named in alive for name in named or {}) if alive else None


def show(session: Session) -> list[resources.Worker]:
    """Those that were seen within a day, by name, with the jobs that each holds, and what it helps with."""
    now = session.scalar(select(db_now())) or 0.0
    holding: dict[str, list[resources.HeldJob]] = {}
    for kind, model in JOB_MODELS.items():
        beside = Run.fused_with if model is Run else null()
        held = select(model.worker, model.id, model.experiment_id, beside).where(model.status == "running")
        for worker, identifier, experiment, fused_with in session.execute(held.order_by(model.id)):
            job = resources.HeldJob(kind=kind, id=identifier, experiment=experiment, fused_with=fused_with)
            holding.setdefault(worker or "", []).append(job)
    helping: dict[str, list[resources.HelpedEvaluation]] = {}
    helpers = select(EvaluationHelper.worker, Evaluation.id, Evaluation.experiment_id).join(
        Evaluation, Evaluation.id == EvaluationHelper.evaluation_id
    )
    alive = helpers.where(EvaluationHelper.lease_expires_at >= now).order_by(EvaluationHelper.id)
    for worker, identifier, experiment in session.execute(alive):
        helping.setdefault(worker, []).append(resources.HelpedEvaluation(id=identifier, experiment=experiment))
    rows: Sequence[Worker] = session.scalars(select(Worker).order_by(Worker.name).limit(MOST_SHOWN)).all()
    return [
        resources.Worker(
            name=row.name,
            alive=row.seen_at > now - ALIVE_WITHIN_S,
            device=row.device,
            slots=row.slots,
            version=row.version,
            networks=row.networks or {},
            started_at=as_datetime(row.started_at),
            seen_at=as_datetime(row.seen_at),
            jobs=tuple(holding.get(row.name, ())),
            helps=tuple(helping.get(row.name, ())),
        )
        for row in rows
    ]

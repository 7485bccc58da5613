"""The row is the queue: claiming, keeping and giving back a run or an evaluation.

Each function is one conditional UPDATE. What users ask of a job meanwhile is in `store.queue.controls`. A worker's
writes name the attempt that `claim` gave it; where the row has moved on, they touch nothing and raise `LeaseLost`.
Whatever changes a status goes through `change`, which tells of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import ColumnElement, Update, case, false, func, null, or_, select, true, update
from sqlalchemy.orm import Session

from gauntlet import resources
from gauntlet.spec.asked.priorities import PRIORITIES
from store import events
from store.database import db_now
from store.errors import LeaseLost
from store.models import Evaluation, Job, Run
from store.texts import plain
from store.times import as_datetime

JobKind = Literal["run", "evaluation"]
EndStatus = Literal["succeeded", "failed", "cancelled"]
Asked = Literal["cancel", "pause"]
JobModel = type[Run] | type[Evaluation]
JOB_MODELS: dict[JobKind, JobModel] = {"run": Run, "evaluation": Evaluation}

MOST_CRASHES = 3
# How long a job waits after its first and its second crash, in units of `retry_s`. What a dead worker held is taken up
# at once, as the fault is likely its own; one that an attempt lived to tell of may be there for a while.
_AFTER_A_LOSS = (0, 1)
_AFTER_A_FAULT = (1, 2)
# Room on a disk is made by somebody, and until then every attempt is in vain.
_WHILE_FULL = 10
ACTIVE = ("queued", "running", "paused")
_RAN_OUT = "The lease ran out: the worker, or its machine, died or hung."
_LONGEST_DETAIL = 2_000


@dataclass(frozen=True)
class JobProgress:
    """How far a job is, as its worker knows it."""

    phase: str
    completed: int
    total: int
    unit: str
    eta_s: float | None = None


@dataclass(frozen=True)
class Claim:
    """A job held by one attempt; `token` guards every write of it. The rest is for those who read of it."""

    kind: JobKind
    id: str
    token: int
    experiment: str | None = None
    traceparent: str | None = None

    @property
    def model(self) -> JobModel:
        return JOB_MODELS[self.kind]

    @property
    def job(self) -> str:
        """The job's id, as of whoever works on it."""
        return self.id

    @property
    def speaker(self) -> str:
        """Who speaks in the job's log."""
        return f"attempt {self.token}"


def waiting(model: JobModel) -> tuple[ColumnElement[bool], ...]:
    """Conditions of a job that may be claimed now."""
    return model.status == "queued", or_(model.not_before.is_(None), model.not_before <= db_now())


def change(session: Session, model: JobModel, statement: Update) -> Sequence[Any]:
    """Execute an UPDATE that changes the status of jobs, and tell of each; returns the rows of `events.job_columns`."""
    rows = session.execute(statement.returning(*events.job_columns(model))).all()
    events.tell_statuses(session, model, rows)
    return rows


def claim(
    session: Session, kind: JobKind, identifier: str, worker: str, lease_s: float, *, fused_with: str | None = None
) -> Claim | None:
    """Take a queued job, or None if it is not there to be taken. Of two claimers one gets it.

    `fused_with` is the run, claimed before, in whose slot this one is trained.
    """
    model = JOB_MODELS[kind]
    taken = change(
        session,
        model,
        update(model)
        .where(model.id == identifier, *waiting(model))
        .values(
            status="running",
            status_reason=None,
            status_detail=None,
            not_before=None,
            attempt=model.attempt + 1,
            worker=worker,
            started_at=func.coalesce(model.started_at, db_now()),
            lease_expires_at=db_now() + lease_s,
            **({"fused_with": fused_with} if kind == "run" else {}),
        ),
    )
    if not taken:
        return None
    return Claim(kind, identifier, taken[0].attempt, taken[0].experiment_id, taken[0].traceparent)


def renew(session: Session, held: Claim, lease_s: float, progress: JobProgress | None) -> Asked | None:
    """Extend the lease and note the progress; returns what somebody asked of the job, of both the cancel.

    Raises:
        LeaseLost: the job is no longer this attempt's.
    """
    values: dict[str, Any] = {"lease_expires_at": db_now() + lease_s}
    if progress is not None:
        values |= vars(progress)
    model = held.model
    asked = model.cancel_requested, model.pause_requested
    row = session.execute(_held(held).values(values).returning(*asked)).one_or_none()
    if row is None:
        raise _lost(held)
    return _asked(cancel=row.cancel_requested, pause=row.pause_requested)


def hold(session: Session, held: Claim, *, progressed: bool = False) -> None:
    """Lock the job's row for this transaction, so that what follows is written by its attempt or not at all.

    `progressed` says that the attempt got further than the one before it, which clears the count of crashes.

    Raises:
        LeaseLost: the job is no longer this attempt's.
    """
    _write(session, held, {"crashes": 0 if progressed else held.model.crashes})


def note_device(session: Session, held: Claim, device: str) -> None:
    """Note what computes the job.

    Raises:
        LeaseLost: the job is no longer this attempt's.
    """
    _write(session, held, {"device": device})


def finish(
    session: Session,
    held: Claim,
    status: EndStatus,
    reason: str | None = None,
    detail: str | None = None,
) -> str:
    """End the job and return its status: one that was asked to cancel meanwhile ends as cancelled.

    Raises:
        LeaseLost: the job is no longer this attempt's.
    """
    cancelled = held.model.cancel_requested.is_(true())
    values = {
        "status": case((cancelled, "cancelled"), else_=status),
        "status_reason": case((cancelled, "user"), else_=reason),
        "finished_at": db_now(),
        "lease_expires_at": None,
        "worker": None,
        "eta_s": None,
    }
    return _move_on(session, held, values | _detail(detail))


def release(session: Session, held: Claim, reason: str | None, detail: str | None = None, *, wait_s: float = 0) -> None:
    """Put the job back into the queue, or to those that pause if that was asked, without counting a crash.

    So on a worker's orderly shutdown. It is not claimed again before `wait_s` have gone by.

    Raises:
        LeaseLost: the job is no longer this attempt's.
    """
    pause = {"not_before": db_now() + wait_s} if wait_s else {}
    _move_on(session, held, _requeued(held.model, reason, false()) | _detail(detail) | pause)


def give_up(session: Session, held: Claim, reason: str, detail: str, *, retry_s: float) -> None:
    """End an attempt by a fault that may go away: back to the queue for a later one, or failed after too many.

    Raises:
        LeaseLost: the job is no longer this attempt's.
    """
    _move_on(session, held, _crashed(held.model, reason, retry_s, _AFTER_A_FAULT) | _detail(detail))


def postpone(session: Session, held: Claim, reason: str, detail: str, *, retry_s: float) -> None:
    """End an attempt that the storage brought to nothing: back to the queue, however often that happens.

    Raises:
        LeaseLost: the job is no longer this attempt's.
    """
    release(session, held, reason, detail, wait_s=_WHILE_FULL * retry_s)


def abandon(session: Session, held: Claim, detail: str, *, retry_s: float) -> None:
    """Record that the attempt ended without a word: back to the queue, or failed once it crashed too often.

    Raises:
        LeaseLost: the job is no longer this attempt's.
    """
    _move_on(session, held, _crashed(held.model, "worker_lost", retry_s, _AFTER_A_LOSS) | _detail(detail))


def end_of(session: Session, held: Claim) -> str:
    """What became of an attempt that is over, as a sentence for the log."""
    model = held.model
    columns = select(model.attempt, model.status, model.status_reason, model.status_detail)
    job = session.execute(columns.where(model.id == held.id)).one_or_none()
    if job is None:
        return f"the {held.kind} is deleted."
    if job.attempt != held.token:
        return f"attempt {job.attempt} has taken the {held.kind} over."
    return events.sentence(held.kind, job)


Hold = Literal["kept", "expired", "gone"]


def holds(session: Session, claims: Sequence[Claim]) -> dict[Claim, Hold]:
    """Whether each attempt still holds its job, and its lease runs or ran out by the database's clock."""
    found: dict[Claim, Hold] = dict.fromkeys(claims, "gone")
    for held in claims:
        model = held.model
        query = select(model.lease_expires_at < db_now()).where(*_is_held(held))
        expired = session.scalar(query)
        if expired is not None:
            found[held] = "expired" if expired else "kept"
    return found


def reclaim_expired(session: Session, model: JobModel, *, retry_s: float, at: float | None = None) -> dict[str, str]:
    """Take back every job whose lease ran out by the database's clock; returns what status each has now, by id.

    Or by `at`, a moment of it. One whose row is locked is left for the next time: its worker may be in mid-write.
    """
    expired = select(model.id).where(model.status == "running", model.lease_expires_at < (at or db_now()))
    values = _crashed(model, "worker_lost", retry_s, _AFTER_A_LOSS) | {"status_detail": _RAN_OUT}
    taken = update(model).where(model.id.in_(expired.with_for_update(skip_locked=True))).values(values)
    return {row.id: row.status for row in change(session, model, taken)}


def requeue_running(session: Session, model: JobModel, reason: str) -> None:
    """Put every running job back into the queue, whoever holds it, without counting a crash."""
    change(session, model, update(model).where(model.status == "running").values(_requeued(model, reason, false())))


def shown(job: Job) -> dict[str, Any]:
    """The fields that every job shows."""
    progress, whole = None, job.status == "succeeded" and job.status_reason is None
    if job.phase is not None and job.unit is not None:
        progress = resources.Progress(
            phase="finished" if whole else job.phase,
            # The last heartbeat came before the end.
            completed=job.total if whole else job.completed,
            total=job.total,
            unit=job.unit,
            eta_s=None if job.finished_at is not None else job.eta_s,
        )
    return {
        "created_at": as_datetime(job.created_at),
        "owner": job.owner,
        "started_at": as_datetime(job.started_at),
        "finished_at": as_datetime(job.finished_at),
        "priority": PRIORITIES[job.priority],
        "status": job.status,
        "status_reason": job.status_reason,
        "status_detail": job.status_detail,
        "stopping": _asked(cancel=job.cancel_requested, pause=job.pause_requested) if job.status == "running" else None,
        "attempt": job.attempt,
        "retry_of": job.retry_of,
        "retried_by": job.retried_by,
        "device": job.device,
        "progress": progress,
    }


def _asked(*, cancel: bool, pause: bool) -> Asked | None:
    if cancel:
        return "cancel"
    return "pause" if pause else None


def _held(held: Claim) -> Update:
    return update(held.model).where(*_is_held(held))


def _is_held(held: Claim) -> tuple[ColumnElement[bool], ...]:
    model = held.model
    return model.id == held.id, model.attempt == held.token, model.status == "running"


def _write(session: Session, held: Claim, values: Mapping[str, Any]) -> None:
    if session.execute(_held(held).values(values).returning(held.model.id)).one_or_none() is None:
        raise _lost(held)


def _move_on(session: Session, held: Claim, values: Mapping[str, Any]) -> str:
    """Write values that change the job's status; returns the one that it has then."""
    rows = change(session, held.model, _held(held).values(values))
    if not rows:
        raise _lost(held)
    return str(rows[0].status)


def _requeued(model: JobModel, reason: str | None, exhausted: ColumnElement[bool]) -> dict[str, Any]:
    """Values that queue a running job again, unless it was asked to cancel, is exhausted or was asked to pause."""
    cancelled, paused = model.cancel_requested.is_(true()), model.pause_requested.is_(true())
    return {
        "status": case((cancelled, "cancelled"), (exhausted, "failed"), (paused, "paused"), else_="queued"),
        "status_reason": case((cancelled, "user"), (exhausted, reason), (paused, "user"), else_=reason),
        "pause_requested": False,
        "finished_at": case((or_(cancelled, exhausted), db_now()), else_=null()),
        "lease_expires_at": None,
        "worker": None,
        "eta_s": None,
    }


def _crashed(model: JobModel, reason: str, retry_s: float, pauses: Sequence[int]) -> dict[str, Any]:
    """Values that count a crash and queue a running job again, after a pause that grows with the crashes before."""
    pause = case(
        *((model.crashes == crashes, db_now() + pause * retry_s) for crashes, pause in enumerate(pauses) if pause),
        else_=null(),
    )
    exhausted = model.crashes + 1 >= MOST_CRASHES
    return _requeued(model, reason, exhausted) | {"crashes": model.crashes + 1, "not_before": pause}


def _detail(text: str | None) -> dict[str, str | None]:
    return {"status_detail": None if text is None else plain(text, at_most=_LONGEST_DETAIL)}


def _lost(held: Claim) -> LeaseLost:
    return LeaseLost(f"Attempt {held.token} no longer holds the {held.kind} {held.id}.")

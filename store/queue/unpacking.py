"""The unpacking of uploaded archives: which one is next, whose it is, and what came of it.

A lease and an attempt guard it as they guard jobs (`store.queue.jobs`). It is none, for it waits behind no training.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Update, case, or_, select, update
from sqlalchemy.orm import Session

from gauntlet.checks.description import DatasetContents, SplitDescription
from gauntlet.spec.asked.uploads import SplitDraw
from store import events
from store.accounts.quotas import Allowance, Quotas
from store.database import db_now, take_turn
from store.errors import LeaseLost
from store.events import News
from store.models import Dataset
from store.queue.jobs import MOST_CRASHES
from store.texts import plain

_LONGEST_DETAIL = 2_000
_LOST = "Its unpacking was lost with its worker too often; perhaps the archive brings the machine down."


@dataclass(frozen=True)
class Unpacking:
    """An archive held by one attempt; `attempt` guards every write of it.

    `traceparent` is where, in a trace, the request stands that brought it, `age_s` how long ago it did.
    """

    id: str
    name: str
    attempt: int
    draw: SplitDraw | None
    owner: str | None
    quota_bytes: int | None
    archive_bytes: int
    archive_sha256: str
    traceparent: str | None
    age_s: float


def any_waits(session: Session) -> bool:
    """Whether an archive may be unpacked now."""
    return session.scalar(select(Dataset.id).where(*_waits(db_now())).limit(1)) is not None


def claim_next(
    session: Session, worker: str, lease_s: float, may_judge: Callable[[float], bool] = lambda _: True
) -> Unpacking | None:
    """Take the archive that has waited longest, or None if none waits. One that was lost too often fails.

    `may_judge` is asked whether leases that ran out by a moment of the database's clock say that somebody died: what
    somebody holds is not taken where it says no.
    """
    # Of workers that ask at once, each sees what those before it took.
    take_turn(session, "unpacking")
    # Not the moment at which a row is come by, for which it may have waited as others do who renew a lease.
    moment = session.scalars(select(db_now())).one()
    waits = _waits(moment) if may_judge(moment) else (*_waits(moment), Dataset.worker.is_(None))
    was_lost = Dataset.worker.is_not(None)
    lost = session.execute(
        update(Dataset)
        .where(*waits, was_lost, Dataset.crashes + 1 >= MOST_CRASHES)
        .values(_ended("failed", "worker_lost", _LOST))
        .returning(Dataset.id, Dataset.attempt)
    )
    events.tell(session, *(_failed(row.id, row.attempt, "worker_lost", _LOST) for row in lost))
    oldest = select(Dataset.id).where(*waits).order_by(Dataset.id).limit(1).scalar_subquery()
    taken = session.execute(
        update(Dataset)
        # Told again, for it may have been renewed since it was looked up.
        .where(Dataset.id == oldest, *waits)
        .values(
            attempt=Dataset.attempt + 1,
            crashes=Dataset.crashes + case((was_lost, 1), else_=0),
            worker=worker,
            lease_expires_at=db_now() + lease_s,
            status_reason=None,
            status_detail=None,
        )
        .returning(
            Dataset.id,
            Dataset.name,
            Dataset.attempt,
            Dataset.draw,
            Dataset.owner,
            Dataset.quota_bytes,
            Dataset.archive_bytes,
            Dataset.archive_sha256,
            Dataset.traceparent,
            (db_now() - Dataset.created_at).label("age_s"),
        )
    ).one_or_none()
    if taken is None:
        return None
    draw = None if taken.draw is None else SplitDraw.model_validate(taken.draw)
    owners = (taken.owner, taken.quota_bytes, taken.archive_bytes, taken.archive_sha256)
    return Unpacking(taken.id, taken.name, taken.attempt, draw, *owners, taken.traceparent, taken.age_s)


def room_for(session: Session, held: Unpacking) -> int | None:
    """How many bytes the owner's quota leaves for what is unpacked, in the archive's place; None is any number."""
    allowance = Allowance(Quotas(bytes=held.quota_bytes or 0), held.owner)
    return allowance.room_in_place_of(session, held.archive_bytes)


def renew(session: Session, held: Unpacking, lease_s: float, progress: tuple[str, int, int]) -> None:
    """Extend the lease and note the progress: what is done, how many of how many.

    Raises:
        LeaseLost: another attempt has it, or it was deleted.
    """
    phase, completed, total = progress
    values = {"lease_expires_at": db_now() + lease_s, "phase": phase, "completed": completed, "total": total}
    _write(session, held, values)


def status_of(session: Session, held: Unpacking) -> str | None:
    """The data set's status; None where it is nobody's any more, neither this attempt's nor another's."""
    return session.scalar(select(Dataset.status).where(Dataset.id == held.id, Dataset.deleted_at.is_(None)))


def hold(session: Session, held: Unpacking) -> None:
    """Lock the row for this transaction.

    Raises:
        LeaseLost: another attempt has it, or it was deleted.
    """
    _write(session, held, {"worker": Dataset.worker})


def complete(session: Session, held: Unpacking, contents: DatasetContents) -> None:
    """Record what was made of it.

    Raises:
        LeaseLost: another attempt has it, or it was deleted.
    """
    train, test = contents.description.train, contents.description.test
    assert train is not None
    made = {
        "sha256": contents.sha256,
        "bytes": contents.bytes,
        "contents": contents.model_dump(mode="json"),
        "classes": len(train.classes),
        "train_images": _images(train),
        "test_images": _images(test),
    }
    _write(session, held, _ended("ready", None, None) | made)
    message = f"The data set is ready: {made['train_images']:,} training and {made['test_images']:,} test images."
    events.tell(session, News("status", "ready", held.id, message, attempt=held.attempt, data={"reason": None}))


def fail(session: Session, held: Unpacking, reason: str, detail: str) -> None:
    """Record why nothing can be made of it.

    Raises:
        LeaseLost: another attempt has it, or it was deleted.
    """
    _write(session, held, _ended("failed", reason, plain(detail, at_most=_LONGEST_DETAIL)))
    events.tell(session, _failed(held.id, held.attempt, reason, detail))


def postpone(session: Session, held: Unpacking, reason: str | None, detail: str | None, *, wait_s: float) -> None:
    """Let another attempt be made after so long, for this one failed by no fault of the archive.

    Raises:
        LeaseLost: another attempt has it, or it was deleted.
    """
    values = {
        "status_reason": reason,
        "status_detail": None if detail is None else plain(detail, at_most=_LONGEST_DETAIL),
        "worker": None,
        "lease_expires_at": db_now() + wait_s,
    }
    _write(session, held, values)


def give_up(session: Session, held: Unpacking, reason: str, detail: str, *, wait_s: float) -> None:
    """End an attempt by a fault that may go away: another is made after so long, or it failed after too many.

    Raises:
        LeaseLost: another attempt has it, or it was deleted.
    """
    hold(session, held)
    crashes = 1 + session.scalars(select(Dataset.crashes).where(Dataset.id == held.id)).one()
    if crashes >= MOST_CRASHES:
        fail(session, held, reason, detail)
    else:
        postpone(session, held, reason, detail, wait_s=wait_s)
    session.execute(update(Dataset).where(Dataset.id == held.id).values(crashes=crashes))


def _failed(identifier: str, attempt: int, reason: str, detail: str) -> News:
    return News("status", "failed", identifier, detail, attempt=attempt, data={"reason": reason})


def _images(split: SplitDescription | None) -> int:
    return 0 if split is None else split.images


def _waits(moment: float | ColumnElement[float]) -> tuple[ColumnElement[bool], ...]:
    free = or_(Dataset.lease_expires_at.is_(None), Dataset.lease_expires_at < moment)
    return Dataset.status == "unpacking", Dataset.deleted_at.is_(None), free


def _ended(status: str, reason: str | None, detail: str | None) -> dict[str, Any]:
    return {
        "status": status,
        "status_reason": reason,
        "status_detail": detail,
        "finished_at": db_now(),
        "worker": None,
        "lease_expires_at": None,
    }


def _write(session: Session, held: Unpacking, values: dict[str, Any]) -> None:
    ours = (Dataset.id == held.id, Dataset.attempt == held.attempt, Dataset.status == "unpacking")
    written: Update = update(Dataset).where(*ours, Dataset.deleted_at.is_(None)).values(values)
    if session.execute(written.returning(Dataset.id)).one_or_none() is None:
        raise LeaseLost(f"Attempt {held.attempt} no longer holds the unpacking of {held.id}.")

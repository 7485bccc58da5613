"""What an owner may have: jobs that have not ended, stored bytes, and uploads within a day.

Each is held against what there is once a transaction has made its own, inside that transaction, and those of one owner
take turns: of two that would exceed a quota together the second is refused. What a training writes is refused to
nobody: it has begun, and its results are worth more than the room; its owner can then bring and train no more.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Final

from sqlalchemy import case, delete, func, select
from sqlalchemy.orm import Session

from store.database import db_now, take_turn
from store.errors import QuotaExceeded
from store.models import Checkpoint, Dataset, Evaluation, PictureFile, Run, Upload
from store.queue import jobs

_DAY_S: Final = 86_400.0
# Jobs end by and by.
_COME_AGAIN_S: Final = 60
# What is kept in files, by owner.
_STORED: Final = (
    (Checkpoint.owner, Checkpoint.bytes),
    (Run.owner, Run.resume_bytes),
    (PictureFile.owner, PictureFile.bytes),
    # Its archive until it is unpacked; of one that failed nothing stays.
    (Dataset.owner, case((Dataset.status == "failed", 0), else_=func.coalesce(Dataset.bytes, Dataset.archive_bytes))),
)


@dataclass(frozen=True)
class Quotas:
    """The most that each owner may have; 0 is any number."""

    jobs: int = 0
    bytes: int = 0
    uploads_a_day: int = 0


@dataclass(frozen=True)
class Used:
    """What an owner has: runs and evaluations that have not ended, bytes in files, and uploads of the last 24 hours."""

    jobs: int
    bytes: int
    uploads_in_a_day: int


def used(session: Session, owner: str | None) -> Used:
    """What the owner has; None is for what nobody owns."""
    return Used(_active_jobs(session, owner), _stored_bytes(session, owner), _uploads(session, owner))


def used_by_owner(session: Session) -> dict[str | None, Used]:
    """What each owner has who has anything, in a statement for each kind of thing."""
    jobs_of: Counter[str | None] = Counter()
    bytes_of: Counter[str | None] = Counter()
    for model in (Run, Evaluation):
        active = select(model.owner, func.count()).where(model.status.in_(jobs.ACTIVE))
        jobs_of.update(dict(session.execute(active.group_by(model.owner)).all()))
    for whose, size in _STORED:
        for owner, total in session.execute(select(whose, func.sum(size)).group_by(whose)):
            bytes_of[owner] += int(total or 0)
    recent = select(Upload.owner, func.count()).where(Upload.created_at > db_now() - _DAY_S)
    uploads_of = dict(session.execute(recent.group_by(Upload.owner)).all())
    return {
        owner: Used(jobs_of[owner], bytes_of[owner], uploads_of.get(owner, 0))
        for owner in {*jobs_of, *bytes_of, *uploads_of}
    }


@dataclass(frozen=True)
class Allowance:
    """Quotas, and whose requests are held against them; what comes without a login is taken for one owner's."""

    quotas: Quotas
    owner: str | None

    def require_jobs(self, session: Session, asked: int) -> None:
        """See that the owner has no more jobs than allowed, now that the transaction has queued `asked` more.

        Raises:
            QuotaExceeded: it has, or so many are never allowed at once.
        """
        most = self.quotas.jobs
        if most == 0:
            return
        if asked > most:
            raise QuotaExceeded(f"This asks for {asked:,} jobs, and {most:,} are allowed that have not ended.")
        self._take_turn(session)
        before = _active_jobs(session, self.owner) - asked
        if before + asked > most:
            message = (
                f"{before:,} jobs {self._whose} have not ended, and this asks for {asked:,} more; {most:,} are allowed."
            )
            raise QuotaExceeded(message, retry_after_s=_COME_AGAIN_S)

    def require_bytes(self, session: Session) -> None:
        """See that the owner's files are no larger than allowed, with those that the transaction has recorded.

        Raises:
            QuotaExceeded: they are.
        """
        most = self.quotas.bytes
        if most == 0:
            return
        self._take_turn(session)
        stored = _stored_bytes(session, self.owner)
        if stored > most:
            raise QuotaExceeded(
                f"The files {self._whose} would take {stored:,} bytes, and {most:,} are allowed: "
                "checkpoints, training states, attacked pictures and data sets. Delete some first."
            )

    def room_in_place_of(self, session: Session, stored: int) -> int | None:
        """How many bytes the owner may have in the place of so many that are there; None is any number."""
        most = self.quotas.bytes
        if most == 0:
            return None
        self._take_turn(session)
        return max(0, most - _stored_bytes(session, self.owner) + stored)

    def take_upload(self, session: Session) -> None:
        """Count one more upload, and see that the owner has made no more within a day than allowed.

        Raises:
            QuotaExceeded: it has.
        """
        self._take_turn(session)
        forgotten = (Upload.owner == self.owner, Upload.created_at <= db_now() - _DAY_S)
        session.execute(delete(Upload).where(*forgotten))
        session.add(Upload(owner=self.owner, created_at=session.scalar(select(db_now()))))
        session.flush()
        self._require_uploads(session, _uploads(session, self.owner))

    def require_room(self, session: Session) -> None:
        """Tell early, before a file is looked at, that it would be refused whatever its size.

        Raises:
            QuotaExceeded: it would.
        """
        self.require_bytes(session)
        self._require_uploads(session, _uploads(session, self.owner) + 1)

    def _require_uploads(self, session: Session, count: int) -> None:
        most = self.quotas.uploads_a_day
        if most == 0 or count <= most:
            return
        oldest = select(func.min(Upload.created_at), db_now()).where(
            Upload.owner == self.owner, Upload.created_at > db_now() - _DAY_S
        )
        first, now = session.execute(oldest).one()
        message = f"{count - 1:,} uploads {self._whose} came within a day, and {most:,} are allowed."
        raise QuotaExceeded(message, retry_after_s=max(1, int(first + _DAY_S - now) + 1))

    def _take_turn(self, session: Session) -> None:
        take_turn(session, f"quota {self.owner}")

    @property
    def _whose(self) -> str:
        return "without an owner" if self.owner is None else f"of {self.owner}"


def _active_jobs(session: Session, owner: str | None) -> int:
    counts = (
        select(func.count()).select_from(model).where(model.owner == owner, model.status.in_(jobs.ACTIVE))
        for model in (Run, Evaluation)
    )
    return sum(session.scalar(count) or 0 for count in counts)


def _stored_bytes(session: Session, owner: str | None) -> int:
    sums = (select(func.coalesce(func.sum(size), 0)).where(whose == owner) for whose, size in _STORED)
    return sum(int(session.scalar(total) or 0) for total in sums)


def _uploads(session: Session, owner: str | None) -> int:
    recent = (Upload.owner == owner, Upload.created_at > db_now() - _DAY_S)
    return session.scalar(select(func.count()).select_from(Upload).where(*recent)) or 0

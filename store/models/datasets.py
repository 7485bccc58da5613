"""Data sets that were uploaded."""

from typing import Any, get_args

from sqlalchemy import BigInteger, CheckConstraint, Float, Index, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from gauntlet.resources import DatasetStatus
from store.models.base import Base, Id, Json, Owner
from store.traces.spans import PLACE_LENGTH, place_asked

_STATUS_LIST = ", ".join(f"'{status}'" for status in get_args(DatasetStatus))


class Dataset(Base):
    """An uploaded data set, and the queue entry of its own unpacking: a worker's lease and attempt, as a job has them.

    `request_sha256` is over the archive and how it is to be split, `sha256` over the pictures that came of it.
    `contents` is what is known of them. Without a `worker` nobody is at it, until its lease ends if it has one. One
    with `deleted_at` is there for the sweeper alone, until its files are gone.
    """

    __tablename__ = "datasets"
    __table_args__ = (
        CheckConstraint(f"status IN ({_STATUS_LIST})", name="status"),
        Index(None, "request_sha256"),
        Index(None, "sha256"),
        Index(None, "status", "lease_expires_at"),
    )

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    created_at: Mapped[float] = mapped_column(Float)
    finished_at: Mapped[float | None] = mapped_column(Float)
    deleted_at: Mapped[float | None] = mapped_column(Float)
    owner: Mapped[str | None] = mapped_column(Owner)
    # What the owner might have in files when the archive came; None is any number of bytes.
    quota_bytes: Mapped[int | None] = mapped_column(BigInteger)
    name: Mapped[str] = mapped_column(String(200))
    notes: Mapped[str] = mapped_column(Text, default="")
    draw: Mapped[dict[str, Any] | None] = mapped_column(Json)
    archive_sha256: Mapped[str] = mapped_column(String(64))
    archive_bytes: Mapped[int] = mapped_column(BigInteger)
    request_sha256: Mapped[str] = mapped_column(String(64))
    status: Mapped[DatasetStatus] = mapped_column(String(16), default="unpacking")
    status_reason: Mapped[str | None] = mapped_column(String(40))
    status_detail: Mapped[str | None] = mapped_column(Text)
    sha256: Mapped[str | None] = mapped_column(String(64))
    bytes: Mapped[int | None] = mapped_column(BigInteger)
    classes: Mapped[int | None] = mapped_column(Integer)
    train_images: Mapped[int | None] = mapped_column(Integer)
    test_images: Mapped[int | None] = mapped_column(Integer)
    contents: Mapped[dict[str, Any] | None] = mapped_column(Json)
    attempt: Mapped[int] = mapped_column(Integer, default=0)
    crashes: Mapped[int] = mapped_column(Integer, default=0)
    worker: Mapped[str | None] = mapped_column(String(200))
    # The place, in a trace, of the request that brought it (`store.traces`).
    traceparent: Mapped[str | None] = mapped_column(String(PLACE_LENGTH), default=place_asked)
    lease_expires_at: Mapped[float | None] = mapped_column(Float)
    phase: Mapped[str | None] = mapped_column(String(40))
    completed: Mapped[int] = mapped_column(BigInteger, default=0)
    total: Mapped[int] = mapped_column(BigInteger, default=0)

"""What happened, in the order in which readers see it."""

from typing import Any

from sqlalchemy import BigInteger, Float, Index, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from gauntlet.resources import EventType
from store.models.base import Base, Id, Json


class Event(Base):
    """Something that happened to `subject`, the id of an experiment, a run or whatever else has one.

    An id is never given twice, and none becomes visible after a larger one: readers ask for what came after one
    (`store.events`). It outlives what it tells of, so it refers to nothing.
    """

    __tablename__ = "events"
    __table_args__ = (
        Index(None, "subject", "type", "id"),
        Index(None, "experiment_id", "id"),
        Index(None, "created_at"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    created_at: Mapped[float] = mapped_column(Float)
    type: Mapped[EventType] = mapped_column(String(16))
    kind: Mapped[str] = mapped_column(String(40))
    subject: Mapped[str] = mapped_column(Id)
    experiment_id: Mapped[str | None] = mapped_column(Id)
    attempt: Mapped[int | None] = mapped_column(Integer)
    epoch: Mapped[int | None] = mapped_column(Integer)
    message: Mapped[str] = mapped_column(Text)
    data: Mapped[dict[str, Any]] = mapped_column(Json)

"""Who is told of events by a request of ours."""

from typing import Any, Literal

from sqlalchemy import BigInteger, CheckConstraint, Float, ForeignKey, Index, Integer, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from gauntlet.spec.asked.webhooks import WebhookEvent
from store.models.base import Base, Id, Json


class Webhook(Base):
    """`position` is the last event that was looked at for it. The secret is kept: every request is signed with it."""

    __tablename__ = "webhooks"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    created_at: Mapped[float] = mapped_column(Float)
    owner: Mapped[str | None] = mapped_column(String(100))
    url: Mapped[str] = mapped_column(Text)
    events: Mapped[list[WebhookEvent]] = mapped_column(Json)
    secret: Mapped[str] = mapped_column(String(100))
    position: Mapped[int] = mapped_column(BigInteger)


class Delivery(Base):
    """An event on its way to a webhook: a row that is its own queue entry."""

    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        UniqueConstraint("webhook_id", "event_id"),
        CheckConstraint("status IN ('waiting', 'delivered', 'failed')", name="status"),
        Index(None, "status", "next_at"),
    )

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    created_at: Mapped[float] = mapped_column(Float)
    webhook_id: Mapped[str] = mapped_column(ForeignKey("webhooks.id"))
    event_id: Mapped[int] = mapped_column(BigInteger)
    body: Mapped[dict[str, Any]] = mapped_column(Json)
    status: Mapped[Literal["waiting", "delivered", "failed"]] = mapped_column(String(16))
    attempts: Mapped[int] = mapped_column(Integer)
    next_at: Mapped[float] = mapped_column(Float)
    answer: Mapped[int | None] = mapped_column(Integer)
    fault: Mapped[str | None] = mapped_column(Text)
    delivered_at: Mapped[float | None] = mapped_column(Float)

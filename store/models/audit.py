"""Who did what."""

from sqlalchemy import BigInteger, Float, Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from store.models.base import Base, Id, Owner


class AuditEntry(Base):
    """That a request changed something, or was refused for want of rights. Triggers keep it as it was written.

    `outcome` is `done` or the kind of the refusal. It outlives what it tells of, so it refers to nothing.
    """

    __tablename__ = "audit"
    __table_args__ = (Index(None, "owner", "id"), Index(None, "created_at"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    created_at: Mapped[float] = mapped_column(Float)
    owner: Mapped[str | None] = mapped_column(Owner)
    token_id: Mapped[str | None] = mapped_column(Id)
    method: Mapped[str] = mapped_column(String(10))
    route: Mapped[str] = mapped_column(String(200))
    subject: Mapped[str | None] = mapped_column(Id)
    outcome: Mapped[str] = mapped_column(String(40))
    request_id: Mapped[str | None] = mapped_column(String(40))

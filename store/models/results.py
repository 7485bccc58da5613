"""Results that were measured elsewhere."""

from typing import Any

from sqlalchemy import Float, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from store.models.base import Base, Id, Json, Owner


class Result(Base):
    """What somebody brought: `document` is an `ElsewhereResult`."""

    __tablename__ = "results"
    __table_args__ = (Index(None, "owner"),)

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    created_at: Mapped[float] = mapped_column(Float)
    owner: Mapped[str | None] = mapped_column(Owner)
    name: Mapped[str] = mapped_column(String(200))
    document: Mapped[dict[str, Any]] = mapped_column(Json)

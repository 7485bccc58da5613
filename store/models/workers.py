"""Who works."""

from typing import Any

from sqlalchemy import Float, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from store.models.base import Base, Json


class Worker(Base):
    """A worker's process since it was started; `device` is what its last job was computed on, NULL before the first.

    `networks` are those of a team's own that it has: from their names to the packages, with their versions.
    """

    __tablename__ = "workers"

    name: Mapped[str] = mapped_column(String(200), primary_key=True)
    started_at: Mapped[float] = mapped_column(Float)
    seen_at: Mapped[float] = mapped_column(Float)
    slots: Mapped[int] = mapped_column(Integer)
    version: Mapped[str] = mapped_column(String(40))
    device: Mapped[str | None] = mapped_column(String(200))
    networks: Mapped[dict[str, Any] | None] = mapped_column(Json)

"""Workers that help with an evaluation which another worker holds, and which of its batches are being computed."""

from sqlalchemy import Float, ForeignKey, Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from store.models.base import Base, Id


class EvaluationHelper(Base):
    """One process that computes batches of an evaluation beside its own attempt; the row is there for as long."""

    __tablename__ = "evaluation_helpers"
    __table_args__ = (Index(None, "evaluation_id", "lease_expires_at"),)

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    evaluation_id: Mapped[str] = mapped_column(ForeignKey("evaluations.id", ondelete="CASCADE"))
    worker: Mapped[str] = mapped_column(String(200))
    lease_expires_at: Mapped[float] = mapped_column(Float)


class TakenBatch(Base):
    """A batch that somebody computes: a helper or, where `helper_id` is NULL, the evaluation's own attempt."""

    __tablename__ = "taken_batches"

    evaluation_id: Mapped[str] = mapped_column(ForeignKey("evaluations.id", ondelete="CASCADE"), primary_key=True)
    stage: Mapped[str] = mapped_column(String(300), primary_key=True)
    batch: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    helper_id: Mapped[str | None] = mapped_column(ForeignKey("evaluation_helpers.id", ondelete="CASCADE"), index=True)

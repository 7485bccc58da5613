"""What the attempts of jobs logged."""

from sqlalchemy import BigInteger, Index, Integer, Text
from sqlalchemy.orm import Mapped, mapped_column

from store.models.base import Base, Id


class LoggedLines(Base):
    """Some lines of a job's log as they came, `lines` of them in `text`; deleted with the job."""

    __tablename__ = "logged_lines"
    __table_args__ = (Index(None, "job_id", "id", "lines"),)

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    job_id: Mapped[str] = mapped_column(Id)
    lines: Mapped[int] = mapped_column(Integer)
    text: Mapped[str] = mapped_column(Text)

"""Files that are to go."""

from sqlalchemy import Float, String
from sqlalchemy.orm import Mapped, mapped_column

from store.models.base import Base


class DiscardedFolder(Base):
    """A folder of the storage whose rows were deleted; the sweeper deletes it, and then this row."""

    __tablename__ = "discarded_folders"

    name: Mapped[str] = mapped_column(String(300), primary_key=True)
    created_at: Mapped[float] = mapped_column(Float)

"""Files of the attacked pictures that evaluations keep."""

from sqlalchemy import BigInteger, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from store.models.base import Base, Owner


class PictureFile(Base):
    """A file of an evaluation's attacked pictures, below the storage's root, and whose it is.

    `name` is its form (npz, png) once the evaluation has succeeded. Until then there is a part for each batch.
    """

    __tablename__ = "picture_files"
    __table_args__ = (Index(None, "owner", "bytes"),)

    evaluation_id: Mapped[str] = mapped_column(ForeignKey("evaluations.id"), primary_key=True)
    name: Mapped[str] = mapped_column(String(400), primary_key=True)
    owner: Mapped[str | None] = mapped_column(Owner)
    path: Mapped[str] = mapped_column(String(300))
    sha256: Mapped[str] = mapped_column(String(64))
    bytes: Mapped[int] = mapped_column(BigInteger)

"""Who may do what."""

from sqlalchemy import (
    CheckConstraint,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column

from gauntlet.spec.asked.tokens import Scope
from store.models.base import Base, Id, Owner


class Token(Base):
    """What opens the API. The token itself is nowhere: `digest` is its HMAC under the installation's key."""

    __tablename__ = "tokens"
    __table_args__ = (
        UniqueConstraint("digest"),
        CheckConstraint("scope IN ('read', 'submit', 'admin')", name="scope"),
    )

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    created_at: Mapped[float] = mapped_column(Float)
    owner: Mapped[str] = mapped_column(Owner)
    name: Mapped[str | None] = mapped_column(String(200))
    scope: Mapped[Scope] = mapped_column(String(10))
    digest: Mapped[str] = mapped_column(String(64))
    expires_at: Mapped[float | None] = mapped_column(Float)
    last_used_at: Mapped[float | None] = mapped_column(Float)
    revoked_at: Mapped[float | None] = mapped_column(Float)


class BrowserSession(Base):
    """What a token was exchanged for. The secret itself is nowhere: `digest` is its HMAC as a token's is."""

    __tablename__ = "browser_sessions"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    token_id: Mapped[str] = mapped_column(ForeignKey("tokens.id"))
    created_at: Mapped[float] = mapped_column(Float)
    expires_at: Mapped[float] = mapped_column(Float)


class Upload(Base):
    """That an owner brought a file lately; counted where the file may be gone already."""

    __tablename__ = "uploads"
    __table_args__ = (Index(None, "owner", "created_at"),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    owner: Mapped[str | None] = mapped_column(Owner)
    created_at: Mapped[float] = mapped_column(Float)

"""What all tables share."""

from sqlalchemy import (
    JSON,
    MetaData,
    String,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase
from ulid import ULID

Json = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
Id = String(40)
Owner = String(100)

STATUSES = ("queued", "running", "paused", "succeeded", "failed", "cancelled")


def new_id(prefix: str) -> str:
    """A fresh identifier that sorts by time of creation, such as `run_01k…`."""
    return f"{prefix}_{str(ULID()).lower()}"


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )

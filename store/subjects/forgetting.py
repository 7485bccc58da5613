"""Rows that have become old go, a part at a time, so that nobody waits long for any of it."""

from typing import Final

from sqlalchemy import ColumnElement, delete, select

from store.database import Database, db_now
from store.models import AuditEntry, Event

_AT_ONCE: Final = 5_000
_S_PER_DAY: Final = 86_400.0


def forget_older(
    database: Database, model: type[AuditEntry] | type[Event], days: int, *further: ColumnElement[bool]
) -> int:
    """Delete the rows that are that old and meet the further conditions; returns how many those were."""
    with database.looking() as session:
        # Not within the statement: PostgreSQL would read the clock for each row, of all that there are.
        before = session.scalars(select(db_now())).one() - days * _S_PER_DAY
    old = select(model.id).where(model.created_at < before, *further).limit(_AT_ONCE)
    count = 0
    while True:
        with database.writing() as session:
            forgotten = session.execute(delete(model).where(model.id.in_(old)).returning(model.id)).all()
        count += len(forgotten)
        if len(forgotten) < _AT_ONCE:
            return count

"""Results that were measured elsewhere: brought, listed, deleted. They are ranked nowhere, and in no report."""

from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from gauntlet import resources
from gauntlet.results.elsewhere import ElsewhereResult
from store.database import db_now, take_turn
from store.errors import QuotaExceeded
from store.lookup import find
from store.models import Result, new_id
from store.shown.pages import PageOf, newest_first
from store.times import as_datetime

# Each takes up to a megabyte.
_MOST: Final = 1_000


def add(session: Session, brought: ElsewhereResult, *, owner: str | None) -> Result:
    """Keep a result.

    Raises:
        QuotaExceeded: there are enough.
    """
    take_turn(session, "results")
    if (session.scalar(select(func.count()).select_from(Result)) or 0) >= _MOST:
        raise QuotaExceeded(f"There are {_MOST:,} results of elsewhere, and no more are kept. Delete one first.")
    row = Result(
        id=new_id("res"),
        created_at=session.scalar(select(db_now())),
        owner=owner,
        name=brought.name,
        document=brought.model_dump(mode="json"),
    )
    session.add(row)
    session.flush()
    return row


def get(session: Session, identifier: str) -> Result:
    """The result with that id.

    Raises:
        NotFound: there is none.
    """
    return find(session, Result, "result", identifier)


def page(session: Session, *, after: str | None, limit: int) -> PageOf[Result]:
    """Results, newest first."""
    return newest_first(session, select(Result), Result.id, after=after, limit=limit, parts=_attacks)


def _attacks(row: Result) -> int:
    return len(row.document["outcome"]["attacks"])


def delete(session: Session, row: Result) -> None:
    """Forget a result; nothing stands on one."""
    session.delete(row)


def brought(row: Result) -> ElsewhereResult:
    """What was brought."""
    return ElsewhereResult.model_validate(row.document)


def show(row: Result) -> resources.Result:
    """The result as the API shows it."""
    found = brought(row)
    return resources.Result(
        id=row.id,
        created_at=as_datetime(row.created_at),
        owner=row.owner,
        name=found.name,
        source=found.source,
        spec=found.spec,
        outcome=found.outcome,
        doubts=found.doubts,
    )

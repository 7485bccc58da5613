"""Who did what: each request that changed something, and each refusal for want of rights.

The list is only added to: there is no function here that changes an entry, and triggers refuse it to everybody else,
as they refuse to delete one that is less than a day old. It never holds a body or a token.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from sqlalchemy import event, insert, select
from sqlalchemy.orm import Session

from gauntlet import resources
from store.database import Database, db_now, do_last
from store.models import AuditEntry
from store.shown.pages import PageOf, newest_first
from store.subjects.forgetting import forget_older
from store.times import as_datetime, earliest

DONE: Final = "done"


@dataclass(frozen=True)
class Deed:
    """What somebody asked for; None where there was no login, or no subject is known."""

    owner: str | None
    token: str | None
    method: str
    route: str
    subject: str | None
    request_id: str | None


def note(session: Session, deed: Deed, outcome: str = DONE) -> None:
    """Add an entry in this transaction."""
    values = {
        "created_at": db_now(),
        "owner": deed.owner,
        "token_id": deed.token,
        "method": deed.method,
        "route": deed.route,
        "subject": deed.subject,
        "outcome": outcome,
        "request_id": deed.request_id,
    }
    session.execute(insert(AuditEntry).values(values))


def note_at_the_end(session: Session, deed: Deed) -> None:
    """Add an entry at the end of this transaction; without a subject it is of the first thing that was made in it."""
    made: list[str] = []

    def remember(flushed: Session, _: object) -> None:
        ids = [getattr(row, "id", None) for row in flushed.new]
        made.extend(sorted(identifier for identifier in ids if isinstance(identifier, str))[:1])

    def add(ending: Session) -> None:
        ending.flush()
        note(ending, deed if deed.subject or not made else replace(deed, subject=made[0]))

    event.listen(session, "after_flush", remember)
    do_last(session, add)


def page(
    session: Session,
    *,
    owner: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    after: int | None,
    limit: int,
) -> PageOf[AuditEntry]:
    """Entries, newest first; of one owner, and from one moment to just before another, where they are named."""
    query = select(AuditEntry)
    if owner is not None:
        query = query.where(AuditEntry.owner == owner)
    if since is not None:
        query = query.where(AuditEntry.created_at >= earliest(since))
    if until is not None:
        query = query.where(AuditEntry.created_at < earliest(until))
    return newest_first(session, query, AuditEntry.id, after=after, limit=limit)


def forget_old(database: Database, *, older_than_days: int) -> int:
    """Forget entries that are that old; returns how many those were."""
    return forget_older(database, AuditEntry, older_than_days)


def show(row: AuditEntry) -> resources.AuditEntry:
    """One entry as the API shows it."""
    return resources.AuditEntry(
        id=row.id,
        created_at=as_datetime(row.created_at),
        owner=row.owner,
        token=row.token_id,
        method=row.method,
        route=row.route,
        subject=row.subject,
        outcome=row.outcome,
        request=row.request_id,
    )

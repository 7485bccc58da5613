"""The audit list: only added to, in the transaction that it tells of, and forgotten when it is old."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import delete, func, insert, select, text, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from gauntlet.spec.experiment import ExperimentSpec
from store.accounts import audit
from store.accounts.audit import Deed
from store.database import Database, db_now
from store.errors import NotFound
from store.models import AuditEntry
from store.subjects import experiments

DEED = Deed("ada", "tok_1", "POST", "/v1/experiments", None, "request")
DAY_S = 86_400


def entries(database: Database) -> list[AuditEntry]:
    with database.reading() as session:
        return list(audit.page(session, after=None, limit=100).rows)


def note(database: Database, owner: str | None, *, days_ago: float = 0) -> None:
    values = {"owner": owner, "method": "POST", "route": "/", "outcome": "done"}
    with database.writing() as session:
        session.execute(insert(AuditEntry).values(created_at=db_now() - days_ago * DAY_S, **values))


def test_an_entry_is_written_with_what_it_tells_of(database: Database, tiny_spec: ExperimentSpec) -> None:
    """It names the first thing that was made, and is not there where nothing was."""
    heard = database.beginning_with(lambda session: audit.note_at_the_end(session, DEED))

    def fail(session: Session) -> None:
        experiments.create(session, tiny_spec, None, owner="ada")
        experiments.cancel(session, "exp_none")

    with pytest.raises(NotFound):
        heard.write(fail, patience_s=0)
    assert entries(database) == []
    with heard.writing() as session:
        experiment, _ = experiments.create(session, tiny_spec, None, owner="ada")
    with database.writing() as session:
        experiments.create(session, tiny_spec, None, owner="ada")
    (entry,) = entries(database)
    assert audit.show(entry).model_dump(exclude={"id", "created_at"}) == {
        "object": "audit_entry",
        "owner": "ada",
        "token": "tok_1",
        "method": "POST",
        "route": "/v1/experiments",
        "subject": experiment.id,
        "outcome": "done",
        "request": "request",
    }


@pytest.mark.parametrize("statement", [update(AuditEntry).values(owner="eve"), delete(AuditEntry)], ids=str)
def test_nobody_changes_or_deletes_what_is_written(database: Database, statement: object) -> None:
    """Whatever code or client sends the statement: the database refuses it."""
    with database.writing() as session:
        audit.note(session, DEED)
    with pytest.raises(DBAPIError, match="The audit list is only added to"), database.writing() as session:
        session.execute(statement)  # type: ignore[call-overload]  # either statement
    assert [entry.owner for entry in entries(database)] == ["ada"]


def test_nor_is_the_list_emptied_at_once(database: Database) -> None:
    """PostgreSQL's TRUNCATE runs no trigger of rows; SQLite has none."""
    with database.reading() as session:
        if session.get_bind().dialect.name == "sqlite":
            pytest.skip("SQLite has no TRUNCATE.")
    with pytest.raises(DBAPIError, match="only added to"), database.writing() as session:
        session.execute(text("TRUNCATE audit"))


def test_old_entries_are_forgotten(database: Database) -> None:
    """Those older than so many days; an id is never given again."""
    for days in (400, 366, 364, 0):
        note(database, f"{days}", days_ago=days)
    assert audit.forget_old(database, older_than_days=365) == 2
    assert [entry.owner for entry in entries(database)] == ["0", "364"]
    assert audit.forget_old(database, older_than_days=365) == 0
    assert audit.forget_old(database, older_than_days=1) == 1
    note(database, "new")
    assert [entry.id for entry in entries(database)] == [5, 4]


def test_entries_are_looked_through_by_owner_and_time(database: Database) -> None:
    """From one moment to just before another, newest first, page by page."""
    for owner, days in (("ada", 5), ("bob", 4), ("ada", 3), (None, 2), ("ada", 1)):
        note(database, owner, days_ago=days)

    def found(session: Session, after: int | None = None, limit: int = 10, **named: object) -> list[int]:
        return [row.id for row in audit.page(session, after=after, limit=limit, **named).rows]  # type: ignore[arg-type]  # as named

    with database.reading() as session:
        now = session.execute(select(db_now())).scalar_one()
        assert session.scalar(select(func.count()).select_from(AuditEntry)) == 5

        def ago(days: float) -> datetime:
            return datetime.fromtimestamp(now - days * DAY_S, UTC)

        assert found(session) == [5, 4, 3, 2, 1]
        assert found(session, owner="ada") == [5, 3, 1]
        assert found(session, owner="ada", since=ago(3.5)) == [5, 3]
        assert found(session, until=ago(2.5)) == [3, 2, 1]
        assert found(session, since=ago(4.5), until=ago(2.5)) == [3, 2]
        assert found(session, limit=2) == [5, 4]
        assert found(session, after=4, limit=2) == [3, 2]

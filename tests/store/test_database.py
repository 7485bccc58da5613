"""Access to a PostgreSQL server is bounded in time, unless its URL says otherwise."""

import pytest

from store.database import Database, engine_for_migrations

BOUNDS = {"lock_timeout": "15s", "statement_timeout": "1min", "idle_in_transaction_session_timeout": "1min"}


@pytest.fixture
def url(postgres_server: str) -> str:
    return postgres_server % "gauntlet_template"


def test_a_statement_does_not_wait_for_ever(url: str) -> None:
    """Locks, statements and pauses between them are bounded for the application, and for a migration they are not."""
    database, engine = Database(url), engine_for_migrations(url)
    with database.reading() as session, engine.connect() as connection:
        for name, bound in BOUNDS.items():
            assert session.connection().exec_driver_sql(f"SHOW {name}").scalar() == bound
            assert connection.exec_driver_sql(f"SHOW {name}").scalar() == "0"
    database.close()
    engine.dispose()


def test_what_the_url_says_stands(url: str) -> None:
    """Its options take the place of ours."""
    database = Database(f"{url}&options=-c%20lock_timeout%3D7s")
    with database.reading() as session:
        assert session.connection().exec_driver_sql("SHOW lock_timeout").scalar() == "7s"
        assert session.connection().exec_driver_sql("SHOW statement_timeout").scalar() == "0"
    database.close()

"""One history builds the schema the models describe, on both databases."""

from typing import Any

import pytest
from alembic import command
from sqlalchemy import inspect
from sqlalchemy.exc import IntegrityError

from store.database import Database, alembic_config, engine_for_migrations, migrate
from store.models import Base, Evaluation, Run


def test_the_migrations_build_what_the_models_describe(database_url: str) -> None:
    """`alembic check` finds no difference."""
    command.check(alembic_config(database_url))


def test_migrating_twice_changes_nothing(database_url: str) -> None:
    """A second upgrade is a no-op."""
    migrate(database_url)
    command.check(alembic_config(database_url))


def test_the_history_can_be_walked_back_and_forth(database_url: str) -> None:
    """Downgrading to nothing leaves no table, and upgrading again builds all of them."""
    command.downgrade(alembic_config(database_url), "base")
    engine = engine_for_migrations(database_url)
    assert set(inspect(engine).get_table_names()) <= {"alembic_version"}
    migrate(database_url)
    assert set(Base.metadata.tables) < set(inspect(engine).get_table_names())
    engine.dispose()


@pytest.mark.parametrize("model", [Run, Evaluation])
def test_a_job_cannot_have_an_unknown_status(database: Database, model: type[Run] | type[Evaluation]) -> None:
    """The CHECK constraint, which `alembic check` does not compare, is there."""
    columns: dict[str, Any] = {"experiment_id": "e", "created_at": 0.0, "spec": {}}
    if model is Run:
        columns |= {"ordinal": 0, "objective": "o", "seed": 0}
    else:
        columns |= {"run_id": "r", "checkpoint_id": "c", "selection": []}
    with pytest.raises(IntegrityError, match=f"ck_{model.__tablename__}_status"), database.writing() as session:
        session.add(model(id="x", status="bogus", **columns))

"""One history builds the schema the models describe, on both databases."""

from typing import Any

import pytest
from alembic import command
from sqlalchemy import func, inspect, select
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


FIRST = "2026_11_22_first_schema"
_JOB = "created_at, status, attempt, crashes, cancel_requested, completed, total"
_DONE = "0, 'succeeded', 1, 0, false, 0, 0"
# An experiment that was trained and evaluated under the first schema.
OLD_ROWS = [
    "experiments (id, created_at, name, spec, request_sha256) VALUES ('e', 0, 'n', '{}', 'x')",
    f"runs (id, {_JOB}, experiment_id, ordinal, objective, seed, spec) VALUES ('r', {_DONE}, 'e', 0, 'o', 0, '{{}}')",
    "epoch_metrics (run_id, epoch, metrics, seconds, images_per_second) VALUES ('r', 1, '{}', 1, 1)",
    "run_events (id, run_id, created_at, attempt, kind, message) VALUES (1, 'r', 0, 1, 'k', 'm')",
    (
        "checkpoints (id, created_at, run_id, epoch, path, sha256, bytes, metrics) "
        "VALUES ('c', 0, 'r', 1, 'p', 's', 1, '{}')"
    ),
    (
        f"evaluations (id, {_JOB}, experiment_id, run_id, checkpoint_id, selection, spec) "
        f"VALUES ('v', {_DONE}, 'e', 'r', 'c', '[]', '{{}}')"
    ),
    "evaluation_batches (evaluation_id, stage, batch, images, robust) VALUES ('v', 'natural', 0, '[]', '[]')",
]


def test_a_database_in_use_is_migrated(database_url: str) -> None:
    """Experiments, runs, metrics and events stay; checkpoints and evaluations, which say too little, are dropped."""
    config = alembic_config(database_url)
    command.downgrade(config, FIRST)
    engine = engine_for_migrations(database_url)
    with engine.begin() as connection:
        for row in OLD_ROWS:
            connection.exec_driver_sql(f"INSERT INTO {row}")
    command.upgrade(config, "head")
    kept = ("experiments", "runs", "epoch_metrics", "events")
    with engine.connect() as connection:
        counts = {
            table: connection.scalar(select(func.count()).select_from(Base.metadata.tables[table]))
            for table in (*kept, "checkpoints", "evaluations", "evaluation_batches")
        }
        standing = connection.exec_driver_sql("SELECT status, name_folded FROM experiments").one()
    assert tuple(standing) == ("succeeded", "n")
    assert counts == dict.fromkeys(kept, 1) | {"checkpoints": 0, "evaluations": 0, "evaluation_batches": 0}
    with pytest.raises(IntegrityError), engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM runs")
    engine.dispose()


def test_two_owners_keys_are_told_apart_until_the_history_is_walked_back(database_url: str) -> None:
    """Before there were owners a key was used once: on the way back those of owners are forgotten, no row is."""
    columns = "id, created_at, name, spec, request_sha256, idempotency_key"
    engine = engine_for_migrations(database_url)
    with engine.begin() as connection:
        for owner in ("ada", "bob"):
            row = f"experiments ({columns}, owner) VALUES ('{owner}', 0, 'n', '{{}}', 'x', 'key', '{owner}')"
            connection.exec_driver_sql(f"INSERT INTO {row}")
        connection.exec_driver_sql(f"INSERT INTO experiments ({columns}) VALUES ('old', 0, 'n', '{{}}', 'x', 'key')")
    command.downgrade(alembic_config(database_url), "2026_11_27_turns")
    command.upgrade(alembic_config(database_url), "head")
    with engine.connect() as connection:
        query = "SELECT id, idempotency_key, owner FROM experiments ORDER BY id"
        kept = [tuple(row) for row in connection.exec_driver_sql(query)]
    assert kept == [("ada", None, None), ("bob", None, None), ("old", "key", None)]
    engine.dispose()


def test_averages_are_told_from_weights_and_leave_their_run_on_the_way_back(database_url: str) -> None:
    """As their cards say; before, an epoch of a run had one checkpoint, and the average beside it stays without one."""
    config = alembic_config(database_url)
    command.downgrade(config, "2026_11_27_standing")
    engine = engine_for_migrations(database_url)
    columns = "id, created_at, run_id, epoch, path, sha256, bytes, metrics, card"
    cards = {"plain": "{}", "mean": '{"origin": {"averaged": true}}', "not": '{"origin": {"averaged": false}}'}

    def found(what: str) -> list[tuple[Any, ...]]:
        with engine.connect() as connection:
            query = f"SELECT id, run_id, epoch{what} FROM checkpoints ORDER BY id"
            return [tuple(row) for row in connection.exec_driver_sql(query)]

    with engine.begin() as connection:
        for row in OLD_ROWS[:2]:
            connection.exec_driver_sql(f"INSERT INTO {row}")
        for epoch, (name, card) in enumerate(cards.items()):
            values = f"'{name}', 0, 'r', {epoch}, 'p', 's', 1, '{{}}', '{card}'"
            connection.exec_driver_sql(f"INSERT INTO checkpoints ({columns}) VALUES ({values})")
    command.upgrade(config, "head")
    assert found(", averaged") == [("mean", "r", 1, True), ("not", "r", 2, False), ("plain", "r", 0, False)]
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE checkpoints SET epoch = 2 WHERE id = 'mean'")
    command.downgrade(config, "2026_11_27_standing")
    assert found("") == [("mean", None, None), ("not", "r", 2), ("plain", "r", 0)]
    command.upgrade(config, "head")
    assert found(", averaged") == [("mean", None, None, True), ("not", "r", 2, False), ("plain", "r", 0, False)]
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

"""Engines: how SQLite and PostgreSQL are connected to, and what every connection is told."""

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from pydantic_core import from_json
from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import InternalError, OperationalError

READ_ONLY = "gauntlet_read_only"
# SQLite copies the log into the database at about this length. Readers can hold that up; what it grows to meanwhile
# would stay on the disk.
_LONGEST_WAL = 4 << 20
# Bounds, so that a database that does not answer costs a request seconds. libpq's own are minutes or none.
_POOL_PATIENCE_S = 5
# The others are closed after their use.
KEPT_CONNECTIONS = 5
# How long SQLite asks again for a lock.
_SQLITE_PATIENCE_S = 15
# How long what was sent to PostgreSQL may go unanswered by its machine before it is taken for lost.
POSTGRESQL_HANGS_S = 15
_POSTGRESQL_CONNECTION = {
    "connect_timeout": 5,
    "tcp_user_timeout": POSTGRESQL_HANGS_S * 1_000,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 2,
}
# The last is for a process that is stopped in a transaction, whose locks nobody else would get.
POSTGRESQL_STATEMENTS = "-c lock_timeout=15s -c statement_timeout=60s -c idle_in_transaction_session_timeout=20s"


def pool_of(connections: int, kept: int = KEPT_CONNECTIONS) -> dict[str, Any]:
    """How an engine keeps `kept` of at most so many connections."""
    kept = min(connections, kept)
    return {"pool_size": kept, "max_overflow": connections - kept, "pool_timeout": _POOL_PATIENCE_S}


def engine_of(
    url: str,
    *,
    statement_bounds: str = "",
    pool: Mapping[str, Any],
    patience_s: int = _SQLITE_PATIENCE_S,
    begins: bool = True,
) -> Engine:
    """An engine for that URL, whose SQLite waits `patience_s` for a lock.

    Where it `begins`, a transaction of SQLite begins when SQLAlchemy's does, to write unless it is `READ_ONLY`.
    """
    if not url.startswith("sqlite"):
        ours = _POSTGRESQL_CONNECTION | {"options": statement_bounds}
        # What the URL itself says stands.
        added = {name: value for name, value in ours.items() if name not in make_url(url).query}
        engine = create_engine(
            _with_psycopg(url), connect_args=added, pool_pre_ping=True, json_deserializer=_read_json, **pool
        )
        event.listen(engine, "handle_error", _call_it_away)
        return engine
    Path(url.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    sqlite = {"timeout": patience_s, "check_same_thread": False}
    engine = create_engine(url, connect_args=sqlite, json_deserializer=_read_json, **pool)
    event.listen(engine, "connect", partial(_configure_sqlite, patience_s))
    if begins:
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def _call_it_away(context: ExceptionContext) -> OperationalError | None:
    """The error of a database that is away, where PostgreSQL ended a transaction of a process that was stopped in it.

    The driver has another for that alone (25P03) among all ways in which a connection ends.
    """
    error = context.sqlalchemy_exception
    if not isinstance(error, InternalError) or not context.is_disconnect:
        return None
    return OperationalError(error.statement, error.params, context.original_exception, connection_invalidated=True)


def _read_json(text: str | bytes) -> Any:
    # In a fifth of json's time (measured on metrics), of which an experiment may have 22,000 rows.
    try:
        return from_json(text)
    except ValueError:
        # It takes no lone surrogates, which what wrote the row may have escaped.
        return json.loads(text)


def _with_psycopg(url: str) -> str:
    return url.replace("postgresql://", "postgresql+psycopg://", 1)


def _configure_sqlite(patience_s: int, connection: Any, _: object) -> None:
    # The driver's own transaction handling would begin in deferred mode, which deadlocks into "database is locked".
    connection.isolation_level = None
    for pragma in (
        "journal_mode=WAL",
        f"journal_size_limit={_LONGEST_WAL}",
        "synchronous=FULL",
        f"busy_timeout={patience_s * 1000}",
        "foreign_keys=ON",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    read_only = connection.get_execution_options().get(READ_ONLY, False)
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

"""Tables as lines of JSON, the same from SQLite and PostgreSQL."""

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import IO, Any

from sqlalchemy import JSON, Connection, Integer, MetaData, Table, func, insert, inspect, select, text
from sqlalchemy.orm import Session

from store.models import Base, EvaluationHelper, TakenBatch, Worker

_AT_ONCE = 1_000
_REVISION = "alembic_version"
# Who works, and helps with what, is known by who says so.
_LEFT_OUT = (Worker.__tablename__, EvaluationHelper.__tablename__, TakenBatch.__tablename__, _REVISION)


def tables() -> list[Table]:
    """Those that are kept, each after what its rows refer to."""
    return [table for table in Base.metadata.sorted_tables if table.name not in _LEFT_OUT]


def dump(session: Session, table: Table, file: IO[bytes]) -> int:
    """Write a table's rows in the order of their keys; returns how many."""
    # As the database has them: the models' own way would load each as an object.
    rows = session.execute(select(table).order_by(*table.primary_key).execution_options(yield_per=_AT_ONCE))
    count = 0
    for row in rows.mappings():
        file.write(json.dumps(dict(row), sort_keys=True).encode() + b"\n")
        count += 1
    return count


def reflected(connection: Connection) -> dict[str, Table]:
    """The tables as the database has them: those of an older schema are not the models'."""
    metadata = MetaData()
    metadata.reflect(connection)
    for table in metadata.tables.values():
        for column in table.columns:
            if isinstance(column.type, JSON):
                # As the models say: no value is NULL, and not JSON's null.
                column.type.none_as_null = True
    return dict(metadata.tables)


def any_rows(connection: Connection) -> bool:
    """Whether any table holds anything."""
    there = set(inspect(connection).get_table_names()) - {_REVISION}
    return any(connection.execute(text(f'SELECT 1 FROM "{name}" LIMIT 1')).first() for name in sorted(there))  # noqa: S608  # names of the database's own


def load(connection: Connection, table: Table, lines: Iterable[bytes]) -> int:
    """Insert rows that `dump` wrote; returns how many."""
    rows = _parsed(lines)
    count = 0
    while some := list(islice(rows, _AT_ONCE)):
        connection.execute(insert(table), some)
        count += len(some)
    _go_on_counting(connection, table)
    return count


def _parsed(lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    return (json.loads(line) for line in lines)


def _go_on_counting(connection: Connection, table: Table) -> None:
    """Have PostgreSQL give the next row a number after all of these, as SQLite does by itself."""
    if connection.dialect.name != "postgresql":
        return
    for column in table.primary_key:
        if isinstance(column.type, Integer) and len(table.primary_key) == 1:
            last = connection.scalar(select(func.max(column)))
            sequence = connection.scalar(select(func.pg_get_serial_sequence(table.name, column.name)))
            if sequence is not None and last is not None:
                connection.execute(select(func.setval(sequence, last)))

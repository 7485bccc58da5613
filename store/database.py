"""The database: SQLite in WAL mode or PostgreSQL, behind short explicit transactions."""

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from copy import copy
from typing import TYPE_CHECKING, Any, TypeVar, cast

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Float,
    NullPool,
    PoolProxiedConnection,
    func,
    select,
    true,
)
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.expression import FunctionElement

from store.engines import KEPT_CONNECTIONS, POSTGRESQL_HANGS_S, POSTGRESQL_STATEMENTS, READ_ONLY, engine_of, pool_of

if TYPE_CHECKING:
    import psycopg
    from alembic.config import Config

logger = logging.getLogger(__name__)

T = TypeVar("T")

_LAST = "gauntlet_last"
_CHANNEL = "gauntlet_"
_RETRY_EVERY_S = 1.0


class db_now(FunctionElement[float]):  # noqa: N801  # reads as the SQL function it is
    """Seconds since 1970 by the database's clock, the only clock that leases are measured with."""

    type = Float()
    inherit_cache = True


@compiles(db_now, "sqlite")
def _sqlite_now(_element: db_now, _compiler: SQLCompiler, **_kw: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(db_now, "postgresql")
def _postgresql_now(_element: db_now, _compiler: SQLCompiler, **_kw: Any) -> str:
    return "EXTRACT(EPOCH FROM clock_timestamp())::double precision"


class _turn(FunctionElement[Any]):  # noqa: N801  # as above
    """A lock by name until the transaction ends; SQLite lets only one transaction write anyway."""

    inherit_cache = True


@compiles(_turn, "sqlite")
def _sqlite_turn(_element: _turn, _compiler: SQLCompiler, **_kw: Any) -> str:
    return "NULL"


@compiles(_turn, "postgresql")
def _postgresql_turn(element: _turn, compiler: SQLCompiler, **kw: Any) -> str:
    return f"pg_advisory_xact_lock(hashtextextended({compiler.process(element.clauses, **kw)}, 0))"


def take_turn(session: Session, name: str, *, let_go_after_s: float | None = None, is_announced: bool = False) -> None:
    """Wait for every transaction that took this turn before, and hold up those that come, until this one ends.

    `let_go_after_s` has PostgreSQL end this one if nothing more is asked in it for so long, as by a process that is
    stopped. One that `is_announced` is told to whoever listens to that name (`Database.listen`) once it is committed.
    """
    columns: list[ColumnElement[Any]] = [_turn(name)]
    if session.get_bind().dialect.name == "postgresql":
        if let_go_after_s is not None:
            timeout = f"{round(1_000 * let_go_after_s)}ms"
            columns.insert(0, func.set_config("idle_in_transaction_session_timeout", timeout, true()))
        if is_announced:
            # In the same question: others wait for this turn.
            columns.append(func.pg_notify(_CHANNEL + name, ""))
    session.execute(select(*columns))


def do_last(session: Session, work: Callable[[Session], None]) -> None:
    """Do `work` in this transaction after all else, right before its commit."""
    session.info.setdefault(_LAST, []).append(work)


class Database:
    """One process's access to the database. Create it where it is used, never before a fork.

    Of at most `connections` it keeps `kept` when they are idle: one where there are thousands of processes, as a server
    has so many for all of them. Unless it is `bounded`, a statement of PostgreSQL may take its time, as where all rows
    are read.
    """

    def __init__(self, url: str, *, connections: int = 15, kept: int = KEPT_CONNECTIONS, bounded: bool = True) -> None:
        bounds = POSTGRESQL_STATEMENTS if bounded else ""
        self._engine = engine_of(url, statement_bounds=bounds, pool=pool_of(connections, kept))
        self._apart = engine_of(url, statement_bounds=bounds, pool={"poolclass": NullPool})
        self._write = sessionmaker(self._engine, expire_on_commit=False)
        reading: dict[str, Any] = {READ_ONLY: True}
        looking = dict(reading)
        if self._engine.dialect.name == "postgresql":
            # One view for all statements of a block, as a read transaction of SQLite has it anyway.
            reading["isolation_level"] = "REPEATABLE READ"
            looking["isolation_level"] = "AUTOCOMMIT"
        self._begin_with: Callable[[Session], object] | None = None
        self._read = sessionmaker(self._engine.execution_options(**reading), expire_on_commit=False)
        self._look = sessionmaker(self._engine.execution_options(**looking))
        self._watching = threading.Lock()
        self._watch: PoolProxiedConnection | None = None
        self._url = url
        self._kept: Connection | None = None

    @property
    def hangs_s(self) -> float:
        """How long what is under way may hang once the database is there again: whoever asked it while it was not.

        SQLite is asked for its lock again and again.
        """
        return POSTGRESQL_HANGS_S if self._engine.dialect.name == "postgresql" else 0.0

    def beginning_with(self, work: Callable[[Session], object]) -> "Database":
        """The same database, where every transaction that may write begins with `work`."""
        other = copy(self)
        other._begin_with = work  # noqa: SLF001  # one of its own kind
        return other

    def waiting_for_locks(self, seconds: float) -> "Database":
        """The same database, where a transaction that may write gives up on a row that is locked for so long.

        SQLite has one lock for all rows, and waits for it as it always does.
        """
        if self._engine.dialect.name != "postgresql":
            return self
        bound = func.set_config("lock_timeout", f"{max(1, round(1_000 * seconds))}ms", true())
        return self.beginning_with(lambda session: session.execute(select(bound)))

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A transaction that may write: committed when the block ends, rolled back when it raises."""
        with self._write.begin() as session:
            if self._begin_with is not None:
                self._begin_with(session)
            yield session
            for work in session.info.pop(_LAST, ()):
                work(session)

    def write(self, work: Callable[[Session], T], *, patience_s: float) -> T:
        """Do `work` in a transaction, again and again while the database is away, for at most `patience_s`.

        Raises:
            OperationalError: it stayed away.
        """
        deadline = time.monotonic() + patience_s
        while True:
            try:
                with self.writing() as session:
                    return work(session)
            except OperationalError as error:
                if time.monotonic() > deadline:
                    raise
                logger.warning("The database is away, trying again: %s", error)
                time.sleep(_RETRY_EVERY_S)

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A consistent view for reading; takes no write lock."""
        with self._read() as session:
            yield session

    @contextmanager
    def looking(self) -> Iterator[Session]:
        """For questions that need no view in common: PostgreSQL is told of no transaction, which takes it two more."""
        with self._look() as session:
            yield session

    @contextmanager
    def reading_apart(self) -> Iterator[Session]:
        """The same on a connection that is opened for it, so that it does not wait for those in use."""
        with Session(self._apart.execution_options(**{READ_ONLY: True})) as session:
            yield session

    def at_once(self, read: Callable[[Connection], T]) -> T | None:
        """What `read` finds in few rows; None where that is not to be had without waiting for others.

        SQLite reads a row that was read a moment ago in less time than a thread takes to be told to: 40 µs, on a
        connection that is kept, and of one thread only.
        """
        if self._engine.dialect.name != "sqlite":
            return None
        try:
            if self._kept is None:
                engine = engine_of(self._url, pool={"poolclass": NullPool}, patience_s=0, begins=False)
                self._kept = engine.connect()
            # By the driver: SQLAlchemy's own beginning and end of a transaction take a third of the look.
            driver = cast("sqlite3.Connection", self._kept.connection.dbapi_connection)
            driver.execute("BEGIN")
            try:
                return read(self._kept)
            finally:
                driver.execute("ROLLBACK")
        except (OperationalError, sqlite3.OperationalError):
            # Whoever asks and waits is told what is wrong with it.
            return None

    def changes(self) -> int | None:
        """A number that is another one as soon as anybody has written; None where that is not to be had at once.

        SQLite counts the commits of all other connections, those of other processes too, in memory that they share: a
        look takes microseconds and waits for nobody. This one's connection never writes.
        """
        if self._engine.dialect.name != "sqlite":
            return None
        with self._watching, suppress(sqlite3.Error):
            if self._watch is None:
                self._watch = self._engine.raw_connection()
                self._watch.detach()
            # The driver's own, without what SQLAlchemy puts around it: it is asked for every request, twice of some.
            connection = cast("sqlite3.Connection", self._watch.dbapi_connection)
            found: tuple[int] | None = connection.execute("PRAGMA data_version").fetchone()
            return None if found is None else found[0]
        # Whoever reads next is told what is wrong with it.
        return None

    def listen(self, name: str) -> Connection | None:
        """A connection of its own that PostgreSQL tells of turns by that name once they are committed.

        None of SQLite, which tells by `changes`.
        """
        if self._engine.dialect.name != "postgresql":
            return None
        connection = self._apart.execution_options(isolation_level="AUTOCOMMIT").connect()
        connection.exec_driver_sql(f"LISTEN {_CHANNEL}{name}")
        return connection

    def heard(self, listening: Connection) -> int:
        """How often it was told since the last time. It is not asked: a look takes microseconds.

        Raises:
            OperationalError: the connection is lost.
        """
        # What `listen` made is PostgreSQL's.
        driver = cast("psycopg.Connection", listening.connection.dbapi_connection)
        try:
            return sum(1 for _ in driver.notifies(timeout=0))
        except self._engine.dialect.loaded_dbapi.Error as error:
            raise OperationalError(None, None, error, connection_invalidated=True) from error

    def close(self) -> None:
        """Close all connections."""
        if self._watch is not None:
            self._watch.close()
        if self._kept is not None:
            self._kept.close()
        self._engine.dispose()


def says_full(error: OperationalError) -> bool:
    """Whether the database has no room left, rather than being away."""
    code, state = getattr(error.orig, "sqlite_errorcode", None), getattr(error.orig, "sqlstate", None)
    return code == sqlite3.SQLITE_FULL or state == "53100"


def says_locked(error: OperationalError) -> bool:
    """Whether PostgreSQL is there and waited in vain for a row that another transaction has locked."""
    return getattr(error.orig, "sqlstate", None) == "55P03"


def alembic_config(url: str) -> "Config":
    """Alembic's configuration for this project's migrations against `url`."""
    # Imported here, with what draws its templates, by those that migrate: a tenth of a second at every other start.
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "migrations:")
    config.attributes["url"] = url
    return config


def migrate(url: str) -> None:
    """Bring the schema up to the newest migration."""
    migrate_to(url, "head")


def migrate_to(url: str, revision: str) -> None:
    """Bring the schema up to one migration.

    Raises:
        CommandError: this version does not know it.
    """
    from alembic import command

    command.upgrade(alembic_config(url), revision)


def engine_for_migrations(url: str) -> Engine:
    """An engine that sees the database as the application does, but whose statements may take their time."""
    return engine_of(url, pool=pool_of(KEPT_CONNECTIONS))

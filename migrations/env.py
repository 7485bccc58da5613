"""Alembic's entry: one history for SQLite and PostgreSQL."""

from alembic import context

from store.database import engine_for_migrations
from store.models import Base


def run() -> None:
    """Apply the migrations that Alembic asks for, in one transaction."""
    engine = engine_for_migrations(context.config.attributes["url"])
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            # SQLite changes a table by copying it; dropping the old one would take what refers to it for orphans. The
            # connection is closed at the end, and the next one checks again.
            connection.connection.cursor().execute("PRAGMA foreign_keys=OFF")
        context.configure(
            connection=connection,
            target_metadata=Base.metadata,
            render_as_batch=True,
            compare_type=True,
            compare_server_default=True,
        )
        with context.begin_transaction():
            context.run_migrations()
    engine.dispose()


run()

"""Jobs that wait before another attempt, and event ids that are never given twice."""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_25_retries"
down_revision = "2026_11_25_evaluations"
branch_labels = None
depends_on = None

_JOBS = ("runs", "evaluations")


def upgrade() -> None:
    """Add the column, and let SQLite count events as PostgreSQL does."""
    for table in _JOBS:
        with op.batch_alter_table(table) as jobs:
            jobs.add_column(sa.Column("not_before", sa.Float(), nullable=True))
    _count_events(for_good=True)


def downgrade() -> None:
    """The same in reverse."""
    _count_events(for_good=False)
    for table in _JOBS:
        with op.batch_alter_table(table) as jobs:
            jobs.drop_column("not_before")


def _count_events(*, for_good: bool) -> None:
    # SQLite takes the word in CREATE TABLE only. PostgreSQL's sequence has always counted on.
    if op.get_bind().dialect.name == "sqlite":
        with op.batch_alter_table("run_events", recreate="always", table_kwargs={"sqlite_autoincrement": for_good}):
            pass

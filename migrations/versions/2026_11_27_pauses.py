"""Jobs that their users pause."""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_27_pauses"
down_revision = "2026_11_27_quotas"
branch_labels = None
depends_on = None

_JOBS = ("runs", "evaluations")


def upgrade() -> None:
    """Add the request; nobody has made it so far."""
    for table in _JOBS:
        with op.batch_alter_table(table) as jobs:
            jobs.add_column(sa.Column("pause_requested", sa.Boolean(), nullable=False, server_default=sa.false()))


def downgrade() -> None:
    """Drop it. What is paused is queued again, for an earlier service could not resume it."""
    for table in _JOBS:
        op.execute(f"UPDATE {table} SET status = 'queued', status_reason = NULL WHERE status = 'paused'")  # noqa: S608  # names of ours
        with op.batch_alter_table(table) as jobs:
            jobs.drop_column("pause_requested")

"""Priorities, and indices for whose turn it is."""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_27_priorities"
down_revision = "2026_11_27_datasets"
branch_labels = None
depends_on = None

_JOBS = ("runs", "evaluations")
_WAITING = ["status", "priority", "owner", "experiment_id", "id", "created_at", "not_before"]


def upgrade() -> None:
    """Add the column; all there is is normal."""
    for table in ("experiments", *_JOBS):
        with op.batch_alter_table(table) as prioritised:
            prioritised.add_column(sa.Column("priority", sa.Integer(), nullable=False, server_default="1"))
    for table in _JOBS:
        op.create_index(f"ix_{table}_waiting", table, _WAITING)
        op.create_index(f"ix_{table}_owner_started_at", table, ["owner", "started_at"])


def downgrade() -> None:
    """Drop them."""
    for table in _JOBS:
        op.drop_index(f"ix_{table}_owner_started_at", table)
        op.drop_index(f"ix_{table}_waiting", table)
    for table in ("experiments", *_JOBS):
        with op.batch_alter_table(table) as prioritised:
            prioritised.drop_column("priority")

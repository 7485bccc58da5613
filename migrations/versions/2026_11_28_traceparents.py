"""Where, in a trace, the request stands that queued a job or brought a data set."""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_28_traceparents"
down_revision = "2026_11_27_margins"
branch_labels = None
depends_on = None

_TABLES = ("runs", "evaluations", "datasets")


def upgrade() -> None:
    """Add the column; what is there already is in no trace."""
    for table in _TABLES:
        op.add_column(table, sa.Column("traceparent", sa.String(55), nullable=True))


def downgrade() -> None:
    """Drop it."""
    for table in _TABLES:
        op.drop_column(table, "traceparent")

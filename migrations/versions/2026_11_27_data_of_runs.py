"""What was read of a run's data set."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "2026_11_27_data_of_runs"
down_revision = "2026_11_25_retries"
branch_labels = None
depends_on = None

_JSON = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    """Add the column; of earlier runs nothing is known."""
    with op.batch_alter_table("runs") as runs:
        runs.add_column(sa.Column("data", _JSON, nullable=True))


def downgrade() -> None:
    """Drop it."""
    with op.batch_alter_table("runs") as runs:
        runs.drop_column("data")

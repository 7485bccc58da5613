"""Which trial of a sweep a run is of."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "2026_11_27_trials"
down_revision = "2026_11_27_networks_of_workers"
branch_labels = None
depends_on = None

_JSON = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    """Add it; no run so far is of one."""
    op.add_column("runs", sa.Column("trial", _JSON, nullable=True))


def downgrade() -> None:
    """Forget it; the runs stay, under their own names."""
    with op.batch_alter_table("runs") as table:
        table.drop_column("trial")

"""Which networks of a team's own each worker has."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "2026_11_27_networks_of_workers"
down_revision = "2026_11_27_webhooks"
branch_labels = None
depends_on = None

_JSON = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    """Add them; a worker says them at its next start."""
    with op.batch_alter_table("workers") as table:
        table.add_column(sa.Column("networks", _JSON, nullable=True))


def downgrade() -> None:
    """Forget them."""
    with op.batch_alter_table("workers") as table:
        table.drop_column("networks")

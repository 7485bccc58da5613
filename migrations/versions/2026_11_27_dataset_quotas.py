"""How much an uploaded data set's owner may have, as it was when the archive came."""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_27_dataset_quotas"
down_revision = "2026_11_27_averages"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add it; those that wait now are bounded as they were."""
    op.add_column("datasets", sa.Column("quota_bytes", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    """Forget it."""
    with op.batch_alter_table("datasets") as table:
        table.drop_column("quota_bytes")

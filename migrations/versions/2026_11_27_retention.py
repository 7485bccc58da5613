"""Which checkpoints of an experiment stay."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "2026_11_27_retention"
down_revision = "2026_11_27_evaluation_data"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the choice; nobody has made it, and all stay."""
    kept = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
    with op.batch_alter_table("experiments") as experiments:
        experiments.add_column(sa.Column("keep", kept, nullable=True))


def downgrade() -> None:
    """Drop it."""
    with op.batch_alter_table("experiments") as experiments:
        experiments.drop_column("keep")

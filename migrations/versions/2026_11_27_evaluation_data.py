"""What an evaluation read of its test images."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "2026_11_27_evaluation_data"
down_revision = "2026_11_27_workers"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add it. Of earlier evaluations it is not known."""
    described = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
    with op.batch_alter_table("evaluations") as evaluations:
        evaluations.add_column(sa.Column("data", described, nullable=True))


def downgrade() -> None:
    """Drop it."""
    with op.batch_alter_table("evaluations") as evaluations:
        evaluations.drop_column("data")

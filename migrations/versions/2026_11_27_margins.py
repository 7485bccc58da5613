"""The margins of an evaluation's natural images."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "2026_11_27_margins"
down_revision = "2026_11_27_helpers"
branch_labels = None
depends_on = None

_JSON = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    """Add the column; of what was measured before none is known."""
    with op.batch_alter_table("evaluation_batches") as batches:
        batches.add_column(sa.Column("margins", _JSON, nullable=True))


def downgrade() -> None:
    """Drop it."""
    with op.batch_alter_table("evaluation_batches") as batches:
        batches.drop_column("margins")

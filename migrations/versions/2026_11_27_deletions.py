"""Folders whose rows were deleted."""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_27_deletions"
down_revision = "2026_11_27_lists"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the list."""
    op.create_table(
        "discarded_folders",
        sa.Column("name", sa.String(300), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_discarded_folders"),
    )


def downgrade() -> None:
    """Drop it. What it still names stays in the storage."""
    op.drop_table("discarded_folders")

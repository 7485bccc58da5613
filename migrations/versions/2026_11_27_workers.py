"""A row for each worker, with when it was last seen."""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_27_workers"
down_revision = "2026_11_27_logged_lines"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table; workers enter themselves."""
    op.create_table(
        "workers",
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("started_at", sa.Float(), nullable=False),
        sa.Column("seen_at", sa.Float(), nullable=False),
        sa.Column("slots", sa.Integer(), nullable=False),
        sa.Column("version", sa.String(40), nullable=False),
        sa.Column("device", sa.String(200), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_workers")),
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("workers")

"""What the attempts of jobs logged."""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_27_logged_lines"
down_revision = "2026_11_27_deletions"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table; what was logged before is in the workers' own logs."""
    op.create_table(
        "logged_lines",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("job_id", sa.String(40), nullable=False),
        sa.Column("lines", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_logged_lines"),
    )
    op.create_index("ix_logged_lines_job_id_id_lines", "logged_lines", ["job_id", "id", "lines"])


def downgrade() -> None:
    """Drop it."""
    op.drop_table("logged_lines")

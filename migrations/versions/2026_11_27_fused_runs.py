"""Which runs were claimed together, to be computed as one program."""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_27_fused_runs"
down_revision = "2026_11_27_results"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; runs that are there were claimed each by itself."""
    op.add_column("runs", sa.Column("fused_with", sa.String(40), nullable=True))


def downgrade() -> None:
    """Drop it."""
    op.drop_column("runs", "fused_with")

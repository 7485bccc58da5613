"""What quotas are counted from: the size of training states, and uploads of the last day."""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_27_quotas"
down_revision = "2026_11_27_ended_evaluations"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column, the table and the indices; states that lie there now count once they are written again."""
    with op.batch_alter_table("runs") as runs:
        runs.add_column(sa.Column("resume_bytes", sa.BigInteger(), nullable=True))
    op.create_index("ix_runs_owner_resume_bytes", "runs", ["owner", "resume_bytes"])
    op.create_index("ix_checkpoints_owner_bytes", "checkpoints", ["owner", "bytes"])
    op.create_table(
        "uploads",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("owner", sa.String(100), nullable=True),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_uploads")),
    )
    op.create_index("ix_uploads_owner_created_at", "uploads", ["owner", "created_at"])


def downgrade() -> None:
    """The same in reverse."""
    op.drop_table("uploads")
    op.drop_index("ix_checkpoints_owner_bytes", "checkpoints")
    op.drop_index("ix_runs_owner_resume_bytes", "runs")
    with op.batch_alter_table("runs") as runs:
        runs.drop_column("resume_bytes")

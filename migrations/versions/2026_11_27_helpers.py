"""Workers that help with evaluations, and the batches that somebody computes."""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_27_helpers"
down_revision = "2026_11_27_fused_runs"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create both tables; an evaluation that runs meanwhile goes on alone."""
    op.create_table(
        "evaluation_helpers",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("evaluation_id", sa.String(40), nullable=False),
        sa.Column("worker", sa.String(200), nullable=False),
        sa.Column("lease_expires_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(
            ["evaluation_id"],
            ["evaluations.id"],
            name=op.f("fk_evaluation_helpers_evaluation_id_evaluations"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evaluation_helpers")),
    )
    op.create_index(
        "ix_evaluation_helpers_evaluation_id_lease_expires_at",
        "evaluation_helpers",
        ["evaluation_id", "lease_expires_at"],
    )
    op.create_table(
        "taken_batches",
        sa.Column("evaluation_id", sa.String(40), nullable=False),
        sa.Column("stage", sa.String(300), nullable=False),
        sa.Column("batch", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("helper_id", sa.String(40), nullable=True),
        sa.ForeignKeyConstraint(
            ["evaluation_id"],
            ["evaluations.id"],
            name=op.f("fk_taken_batches_evaluation_id_evaluations"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["helper_id"],
            ["evaluation_helpers.id"],
            name=op.f("fk_taken_batches_helper_id_evaluation_helpers"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("evaluation_id", "stage", "batch", name=op.f("pk_taken_batches")),
    )
    op.create_index("ix_taken_batches_helper_id", "taken_batches", ["helper_id"])


def downgrade() -> None:
    """Drop them; what helpers recorded stays."""
    op.drop_index("ix_taken_batches_helper_id", "taken_batches")
    op.drop_table("taken_batches")
    op.drop_index("ix_evaluation_helpers_evaluation_id_lease_expires_at", "evaluation_helpers")
    op.drop_table("evaluation_helpers")

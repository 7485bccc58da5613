"""An index that tells whether an evaluation has ended since the leaderboard was made."""

from alembic import op

revision = "2026_11_27_ended_evaluations"
down_revision = "2026_11_27_events"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add it."""
    op.create_index("ix_evaluations_status_finished_at", "evaluations", ["status", "finished_at"])


def downgrade() -> None:
    """Drop it."""
    op.drop_index("ix_evaluations_status_finished_at", "evaluations")

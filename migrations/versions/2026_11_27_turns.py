"""An index for whose turn it is: when the jobs of an experiment were started."""

from alembic import op

revision = "2026_11_27_turns"
down_revision = "2026_11_27_tokens"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the index; that of evaluations takes the place of one on the experiment alone."""
    op.create_index("ix_runs_experiment_id_started_at", "runs", ["experiment_id", "started_at"])
    op.create_index("ix_evaluations_experiment_id_started_at", "evaluations", ["experiment_id", "started_at"])
    op.drop_index("ix_evaluations_experiment_id", "evaluations")


def downgrade() -> None:
    """The same in reverse."""
    op.create_index("ix_evaluations_experiment_id", "evaluations", ["experiment_id"])
    op.drop_index("ix_evaluations_experiment_id_started_at", "evaluations")
    op.drop_index("ix_runs_experiment_id_started_at", "runs")

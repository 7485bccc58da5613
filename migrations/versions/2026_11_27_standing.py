"""How an experiment's jobs stand is counted from an index alone."""

from alembic import op

revision = "2026_11_27_standing"
down_revision = "2026_11_27_trials"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Put an index of all that is counted in the place of the one on experiment and status."""
    for table in ("runs", "evaluations"):
        op.create_index(f"ix_{table}_standing", table, ["experiment_id", "status", "status_reason", "retried_by"])
        op.drop_index(f"ix_{table}_experiment_id_status", table)


def downgrade() -> None:
    """The same in reverse."""
    for table in ("runs", "evaluations"):
        op.create_index(f"ix_{table}_experiment_id_status", table, ["experiment_id", "status"])
        op.drop_index(f"ix_{table}_standing", table)

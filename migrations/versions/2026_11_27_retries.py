"""Jobs that take the place of others."""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_27_retries"
down_revision = "2026_11_27_audit"
branch_labels = None
depends_on = None

_JOBS = ("runs", "evaluations")
_COUNTS = sa.text("retried_by IS NULL")


def upgrade() -> None:
    """Add both directions; of a place's runs one counts, and the others have been retried."""
    for table in _JOBS:
        with op.batch_alter_table(table) as jobs:
            jobs.add_column(sa.Column("retry_of", sa.String(40), nullable=True))
            jobs.add_column(sa.Column("retried_by", sa.String(40), nullable=True))
    with op.batch_alter_table("runs") as runs:
        runs.drop_constraint("uq_runs_experiment_id_ordinal", type_="unique")
    op.create_index(
        "ix_runs_experiment_id_ordinal",
        "runs",
        ["experiment_id", "ordinal"],
        unique=True,
        sqlite_where=_COUNTS,
        postgresql_where=_COUNTS,
    )


def downgrade() -> None:
    """Drop them. Runs that were retried get places of their own, behind all others."""
    op.drop_index("ix_runs_experiment_id_ordinal", "runs")
    op.execute(
        "UPDATE runs SET ordinal = 1000000 + (SELECT count(*) FROM runs AS before WHERE before.experiment_id = "
        "runs.experiment_id AND before.id < runs.id) WHERE retried_by IS NOT NULL"
    )
    with op.batch_alter_table("runs") as runs:
        runs.create_unique_constraint("uq_runs_experiment_id_ordinal", ["experiment_id", "ordinal"])
    for table in _JOBS:
        with op.batch_alter_table(table) as jobs:
            jobs.drop_column("retried_by")
            jobs.drop_column("retry_of")

"""What lists of experiments and jobs are filtered and sorted by."""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_27_lists"
down_revision = "2026_11_27_priorities"
branch_labels = None
depends_on = None

_INDEXED = (
    ("id", "status", "owner", "name_folded"),
    ("status", "id", "owner", "name_folded"),
    ("owner", "id", "status", "name_folded"),
    ("name_folded", "id", "status", "owner"),
)
_EXPERIMENTS = sa.table("experiments", *map(sa.column, ("id", "name", "status", "name_folded")))


def upgrade() -> None:
    """Add the indices, and status (as `store.shown.standings` tells it) and folded name of what is there."""
    op.add_column("experiments", sa.Column("status", sa.String(16), nullable=False, server_default="queued"))
    op.add_column("experiments", sa.Column("name_folded", sa.Text(), nullable=False, server_default=sa.text("''")))
    # The first of these that there are; the statement names nothing that comes from outside.
    for status in ("succeeded", "cancelled", "failed", "paused", "queued", "running"):
        for table in ("runs", "evaluations"):
            jobs = sa.table(table, sa.column("experiment_id"), sa.column("status"))
            there = sa.exists().where(jobs.c.experiment_id == _EXPERIMENTS.c.id, jobs.c.status == status)
            op.execute(sa.update(_EXPERIMENTS).where(there).values(status=status))
    # What waits beside what has ended is under way.
    for table in ("runs", "evaluations"):
        jobs = sa.table(table, sa.column("experiment_id"), sa.column("status"))
        ended = sa.exists().where(
            jobs.c.experiment_id == _EXPERIMENTS.c.id, jobs.c.status.in_(("succeeded", "failed", "cancelled"))
        )
        op.execute(sa.update(_EXPERIMENTS).where(_EXPERIMENTS.c.status == "queued", ended).values(status="running"))
    connection = op.get_bind()
    for identifier, name in connection.execute(sa.select(_EXPERIMENTS.c.id, _EXPERIMENTS.c.name)).all():
        own = sa.update(_EXPERIMENTS).where(_EXPERIMENTS.c.id == identifier)
        connection.execute(own.values(name_folded=name.casefold()))
    for columns in _INDEXED:
        op.create_index(f"ix_experiments_{'_'.join(columns)}", "experiments", columns)
    for table in ("runs", "evaluations"):
        op.create_index(f"ix_{table}_status_id", table, ["status", "id"])


def downgrade() -> None:
    """Drop them."""
    for table in ("runs", "evaluations"):
        op.drop_index(f"ix_{table}_status_id", table)
    for columns in _INDEXED:
        op.drop_index(f"ix_experiments_{'_'.join(columns)}", "experiments")
    op.drop_column("experiments", "name_folded")
    op.drop_column("experiments", "status")

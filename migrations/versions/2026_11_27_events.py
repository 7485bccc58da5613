"""One list of what happened, for everything that has an id; the events of runs go there."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "2026_11_27_events"
down_revision = "2026_11_27_sessions"
branch_labels = None
depends_on = None

_JSON = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
_JOBS = ("runs", "evaluations")


def upgrade() -> None:
    """Create it and move the events of runs there with their ids, which go on where they were."""
    op.create_table(
        "events",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("type", sa.String(16), nullable=False),
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("subject", sa.String(40), nullable=False),
        sa.Column("experiment_id", sa.String(40), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=True),
        sa.Column("epoch", sa.Integer(), nullable=True),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("data", _JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
        sqlite_autoincrement=True,
    )
    op.execute(
        "INSERT INTO events (id, created_at, type, kind, subject, experiment_id, attempt, epoch, message, data) "
        "SELECT e.id, e.created_at, CASE WHEN e.epoch IS NOT NULL OR e.kind = 'data_changed' THEN 'alarm' ELSE 'note' "
        "END, e.kind, e.run_id, r.experiment_id, e.attempt, e.epoch, e.message, '{}' "
        "FROM run_events e JOIN runs r ON r.id = e.run_id"
    )
    _count_on("run_events", "events")
    op.create_index("ix_events_subject_type_id", "events", ["subject", "type", "id"])
    op.create_index("ix_events_experiment_id_id", "events", ["experiment_id", "id"])
    op.create_index("ix_events_created_at", "events", ["created_at"])
    op.drop_table("run_events")
    for table in _JOBS:
        op.create_index(f"ix_{table}_experiment_id_status", table, ["experiment_id", "status"])


def downgrade() -> None:
    """Move the notes of runs back; what else happened is forgotten."""
    for table in _JOBS:
        op.drop_index(f"ix_{table}_experiment_id_status", table)
    op.create_table(
        "run_events",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.String(40), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=True),
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_run_events")),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_run_events_run_id_runs")),
        sqlite_autoincrement=True,
    )
    op.execute(
        "INSERT INTO run_events (id, run_id, created_at, attempt, epoch, kind, message) "
        "SELECT e.id, e.subject, e.created_at, e.attempt, e.epoch, e.kind, e.message "
        "FROM events e JOIN runs r ON r.id = e.subject WHERE e.type IN ('note', 'alarm') AND e.attempt IS NOT NULL"
    )
    _count_on("events", "run_events")
    op.create_index("ix_run_events_run_id_id", "run_events", ["run_id", "id"])
    op.drop_table("events")


def _count_on(before: str, after: str) -> None:
    """Let the ids of `after` follow those that `before` ever gave, of which the last may be gone."""
    if op.get_bind().dialect.name == "postgresql":
        last, sequence = sa.table(f"{before}_id_seq"), sa.literal_column(f"'{after}_id_seq'")
        counted = sa.func.setval(sequence, sa.column("last_value"), sa.column("is_called"))
        op.execute(sa.select(counted).select_from(last))
    else:
        counts = sa.table("sqlite_sequence", sa.column("name"), sa.column("seq"))
        op.execute(counts.delete().where(counts.c.name == after))
        counted = sa.select(sa.literal(after), counts.c.seq).where(counts.c.name == before)
        op.execute(counts.insert().from_select(["name", "seq"], counted))

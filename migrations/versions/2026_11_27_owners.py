"""Owners, and idempotency keys that are each owner's own."""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_27_owners"
down_revision = "2026_11_27_turns"
branch_labels = None
depends_on = None

_OWNED = ("experiments", "runs", "evaluations", "checkpoints")
# The columns beside the owner that make a key's use one.
_KEYS = {"experiments": ["idempotency_key"], "evaluations": ["idempotency_key", "checkpoint_id"]}


def upgrade() -> None:
    """Add the columns; what was made before is nobody's."""
    for table in _OWNED:
        with op.batch_alter_table(table) as owned:
            owned.add_column(sa.Column("owner", sa.String(100), nullable=True))
    for table, key in _KEYS.items():
        _replace_key(table, key, [*key, "owner"])


def downgrade() -> None:
    """Drop them; the keys of those who had a name are forgotten, for two may have used one."""
    for table, key in _KEYS.items():
        op.execute(f"UPDATE {table} SET idempotency_key = NULL WHERE owner IS NOT NULL")  # noqa: S608  # names of ours
        _replace_key(table, [*key, "owner"], key)
    for table in _OWNED:
        with op.batch_alter_table(table) as owned:
            owned.drop_column("owner")


def _replace_key(table: str, before: list[str], after: list[str]) -> None:
    with op.batch_alter_table(table) as keyed:
        keyed.drop_constraint(f"uq_{table}_{'_'.join(before)}", type_="unique")
        keyed.create_unique_constraint(f"uq_{table}_{'_'.join(after)}", after)

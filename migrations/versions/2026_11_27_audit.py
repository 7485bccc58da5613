"""Who did what: a list that is only added to, which triggers see to."""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_27_audit"
down_revision = "2026_11_27_labels_and_notes"
branch_labels = None
depends_on = None

_REFUSAL = "The audit list is only added to; entries are forgotten once they are a day old or more."
_REFUSE = f"BEGIN SELECT RAISE(ABORT, '{_REFUSAL}'); END"
_SQLITE_RECENT = "OLD.created_at > (julianday('now') - 2440587.5) * 86400.0 - 86400.0"
_SQLITE = (
    f"CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit {_REFUSE}",
    f"CREATE TRIGGER audit_is_kept BEFORE DELETE ON audit WHEN {_SQLITE_RECENT} {_REFUSE}",
)
_CALL = "EXECUTE FUNCTION refuse_to_change_audit()"
_RECENT = "OLD.created_at > EXTRACT(EPOCH FROM clock_timestamp()) - 86400"
_RAISE = f"$$ BEGIN RAISE EXCEPTION '{_REFUSAL}'; END $$"
_POSTGRESQL = (
    f"CREATE FUNCTION refuse_to_change_audit() RETURNS trigger LANGUAGE plpgsql AS {_RAISE}",
    f"CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit FOR EACH ROW {_CALL}",
    f"CREATE TRIGGER audit_is_kept BEFORE DELETE ON audit FOR EACH ROW WHEN ({_RECENT}) {_CALL}",
    f"CREATE TRIGGER audit_is_not_emptied BEFORE TRUNCATE ON audit {_CALL}",
)


def upgrade() -> None:
    """Create the table and its triggers."""
    op.create_table(
        "audit",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("owner", sa.String(100), nullable=True),
        sa.Column("token_id", sa.String(40), nullable=True),
        sa.Column("method", sa.String(10), nullable=False),
        sa.Column("route", sa.String(200), nullable=False),
        sa.Column("subject", sa.String(40), nullable=True),
        sa.Column("outcome", sa.String(40), nullable=False),
        sa.Column("request_id", sa.String(40), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_audit_owner_id", "audit", ["owner", "id"])
    op.create_index("ix_audit_created_at", "audit", ["created_at"])
    for statement in _SQLITE if op.get_bind().dialect.name == "sqlite" else _POSTGRESQL:
        op.execute(statement)


def downgrade() -> None:
    """Drop the list with its triggers."""
    op.drop_table("audit")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION refuse_to_change_audit()")

"""Sessions of browsers, each of one token."""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_27_sessions"
down_revision = "2026_11_27_owners"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "browser_sessions",
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("token_id", sa.String(40), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("expires_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["token_id"], ["tokens.id"], name=op.f("fk_browser_sessions_token_id_tokens")),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_browser_sessions")),
    )


def downgrade() -> None:
    """Drop it: all browsers are logged out."""
    op.drop_table("browser_sessions")

"""Uploaded data sets, and what stands on them."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "2026_11_27_datasets"
down_revision = "2026_11_27_retries"
branch_labels = None
depends_on = None

_STANDING = ("experiments", "checkpoints")


def _json() -> sa.types.TypeEngine[Any]:
    return sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    """Create the table, and the columns that name its rows."""
    op.create_table(
        "datasets",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("finished_at", sa.Float(), nullable=True),
        sa.Column("deleted_at", sa.Float(), nullable=True),
        sa.Column("owner", sa.String(100), nullable=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("notes", sa.Text(), nullable=False),
        sa.Column("draw", _json(), nullable=True),
        sa.Column("archive_sha256", sa.String(64), nullable=False),
        sa.Column("archive_bytes", sa.BigInteger(), nullable=False),
        sa.Column("request_sha256", sa.String(64), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("status_reason", sa.String(40), nullable=True),
        sa.Column("status_detail", sa.Text(), nullable=True),
        sa.Column("sha256", sa.String(64), nullable=True),
        sa.Column("bytes", sa.BigInteger(), nullable=True),
        sa.Column("classes", sa.Integer(), nullable=True),
        sa.Column("train_images", sa.Integer(), nullable=True),
        sa.Column("test_images", sa.Integer(), nullable=True),
        sa.Column("contents", _json(), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("crashes", sa.Integer(), nullable=False),
        sa.Column("worker", sa.String(200), nullable=True),
        sa.Column("lease_expires_at", sa.Float(), nullable=True),
        sa.Column("phase", sa.String(40), nullable=True),
        sa.Column("completed", sa.BigInteger(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("status IN ('unpacking', 'ready', 'failed')", name=op.f("ck_datasets_status")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_datasets")),
    )
    op.create_index("ix_datasets_request_sha256", "datasets", ["request_sha256"])
    op.create_index("ix_datasets_sha256", "datasets", ["sha256"])
    op.create_index("ix_datasets_status_lease_expires_at", "datasets", ["status", "lease_expires_at"])
    for table in _STANDING:
        with op.batch_alter_table(table) as standing:
            standing.add_column(sa.Column("dataset_id", sa.String(40), nullable=True))
            standing.create_foreign_key(f"fk_{table}_dataset_id_datasets", "datasets", ["dataset_id"], ["id"])
            standing.create_index(f"ix_{table}_dataset_id", ["dataset_id"])


def downgrade() -> None:
    """Drop them; what was made of uploaded data sets stays, and cannot be evaluated any more."""
    for table in _STANDING:
        with op.batch_alter_table(table) as standing:
            standing.drop_index(f"ix_{table}_dataset_id")
            standing.drop_constraint(f"fk_{table}_dataset_id_datasets", type_="foreignkey")
            standing.drop_column("dataset_id")
    op.drop_table("datasets")

"""Files of the attacked pictures that evaluations keep."""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_27_pictures"
down_revision = "2026_11_27_dataset_quotas"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "picture_files",
        sa.Column("evaluation_id", sa.String(40), nullable=False),
        sa.Column("name", sa.String(400), nullable=False),
        sa.Column("owner", sa.String(100), nullable=True),
        sa.Column("path", sa.String(300), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["evaluation_id"], ["evaluations.id"], name=op.f("fk_picture_files_evaluation_id_evaluations")
        ),
        sa.PrimaryKeyConstraint("evaluation_id", "name", name=op.f("pk_picture_files")),
    )
    op.create_index("ix_picture_files_owner_bytes", "picture_files", ["owner", "bytes"])


def downgrade() -> None:
    """Drop it; the files stay."""
    op.drop_index("ix_picture_files_owner_bytes", "picture_files")
    op.drop_table("picture_files")

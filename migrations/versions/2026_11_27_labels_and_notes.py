"""Labels and notes of experiments and checkpoints."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "2026_11_27_labels_and_notes"
down_revision = "2026_11_27_pauses"
branch_labels = None
depends_on = None

_OF = ("experiments", "checkpoints")


def upgrade() -> None:
    """Add them; what is there has none."""
    for table in _OF:
        op.add_column(table, sa.Column("labels", sa.JSON().with_variant(JSONB(), "postgresql"), nullable=True))
        op.add_column(table, sa.Column("notes", sa.Text(), nullable=True))
    op.create_table(
        "experiment_labels",
        sa.Column("experiment_id", sa.String(40), nullable=False),
        sa.Column("label", sa.String(80), nullable=False),
        sa.ForeignKeyConstraint(
            ["experiment_id"],
            ["experiments.id"],
            name=op.f("fk_experiment_labels_experiment_id_experiments"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("experiment_id", "label", name=op.f("pk_experiment_labels")),
    )
    op.create_index("ix_experiment_labels_label_experiment_id", "experiment_labels", ["label", "experiment_id"])


def downgrade() -> None:
    """Drop them, with what was written in them."""
    op.drop_table("experiment_labels")
    for table in _OF:
        with op.batch_alter_table(table) as altered:
            altered.drop_column("notes")
            altered.drop_column("labels")

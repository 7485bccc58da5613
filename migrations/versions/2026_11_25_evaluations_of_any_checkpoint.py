"""Imported checkpoints, evaluations of their own, and what each image is taken for."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "2026_11_25_evaluations"
down_revision = "2026_11_22_first_schema"
branch_labels = None
depends_on = None

_JOBS = ("runs", "evaluations")
_COUNTS = ("n", "correct", "first_image", "last_image")
_ONCE = "uq_evaluations_idempotency_key_checkpoint_id"
_COUNTING = "ix_evaluation_batches_evaluation_id_stage_n_correct_seconds"


def _json() -> sa.types.TypeEngine[Any]:
    return sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    """Old evaluations, whose results do not say what an image was taken for, and their checkpoints are dropped."""
    for table in _JOBS:
        with op.batch_alter_table(table) as jobs:
            jobs.add_column(sa.Column("device", sa.String(200), nullable=True))
            jobs.alter_column("phase", existing_type=sa.String(100), type_=sa.String(300), existing_nullable=True)
    op.execute("DELETE FROM evaluation_batches")
    op.execute("DELETE FROM evaluations")
    op.execute("DELETE FROM checkpoints")
    with op.batch_alter_table("checkpoints") as checkpoints:
        checkpoints.alter_column("run_id", existing_type=sa.String(40), nullable=True)
        checkpoints.alter_column("epoch", existing_type=sa.Integer(), nullable=True)
        checkpoints.add_column(sa.Column("card", _json(), nullable=False))
        checkpoints.create_index("ix_checkpoints_sha256", ["sha256"])
    with op.batch_alter_table("evaluations") as evaluations:
        evaluations.alter_column("experiment_id", existing_type=sa.String(40), nullable=True)
        evaluations.alter_column("run_id", existing_type=sa.String(40), nullable=True)
        evaluations.add_column(sa.Column("dataset_sha256", sa.String(64), nullable=True))
        evaluations.add_column(sa.Column("images", sa.Integer(), nullable=True))
        evaluations.add_column(sa.Column("implementation", sa.String(100), nullable=True))
        evaluations.add_column(sa.Column("idempotency_key", sa.String(255), nullable=True))
        evaluations.add_column(sa.Column("request_sha256", sa.String(64), nullable=True))
        evaluations.create_unique_constraint(_ONCE, ["idempotency_key", "checkpoint_id"])
    with op.batch_alter_table("evaluation_batches") as batches:
        batches.alter_column("stage", existing_type=sa.String(100), type_=sa.String(300), existing_nullable=False)
        batches.drop_column("robust")
        batches.add_column(sa.Column("labels", _json(), nullable=False))
        batches.add_column(sa.Column("predicted", _json(), nullable=False))
        batches.add_column(sa.Column("zero_gradient", _json(), nullable=True))
        batches.add_column(sa.Column("seconds", sa.Float(), nullable=False))
        for column in _COUNTS:
            batches.add_column(sa.Column(column, sa.Integer(), nullable=False))
        batches.create_index(_COUNTING, ["evaluation_id", "stage", "n", "correct", "seconds"])


def downgrade() -> None:
    """The same in reverse, and without what the old tables cannot hold."""
    op.execute("DELETE FROM evaluation_batches")
    op.execute("DELETE FROM evaluations")
    op.execute("DELETE FROM checkpoints")
    with op.batch_alter_table("evaluation_batches") as batches:
        batches.drop_index(_COUNTING)
        for column in ("labels", "predicted", "zero_gradient", "seconds", *_COUNTS):
            batches.drop_column(column)
        batches.add_column(sa.Column("robust", _json(), nullable=False))
        batches.alter_column("stage", existing_type=sa.String(300), type_=sa.String(100), existing_nullable=False)
    with op.batch_alter_table("evaluations") as evaluations:
        evaluations.drop_constraint(_ONCE, type_="unique")
        for column in ("dataset_sha256", "images", "implementation", "idempotency_key", "request_sha256"):
            evaluations.drop_column(column)
        evaluations.alter_column("run_id", existing_type=sa.String(40), nullable=False)
        evaluations.alter_column("experiment_id", existing_type=sa.String(40), nullable=False)
    with op.batch_alter_table("checkpoints") as checkpoints:
        checkpoints.drop_index("ix_checkpoints_sha256")
        checkpoints.drop_column("card")
        checkpoints.alter_column("epoch", existing_type=sa.Integer(), nullable=False)
        checkpoints.alter_column("run_id", existing_type=sa.String(40), nullable=False)
    for table in _JOBS:
        with op.batch_alter_table(table) as jobs:
            jobs.alter_column("phase", existing_type=sa.String(300), type_=sa.String(100), existing_nullable=True)
            jobs.drop_column("device")

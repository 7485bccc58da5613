"""An epoch's checkpoint of the averaged weights stands beside that of the weights."""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_27_averages"
down_revision = "2026_11_27_standing"
branch_labels = None
depends_on = None

_ONE = "uq_checkpoints_run_id_epoch"
_ONE_OF_EACH = "uq_checkpoints_run_id_epoch_averaged"


def upgrade() -> None:
    """Say of each which of the two it is, as its card does."""
    with op.batch_alter_table("checkpoints") as table:
        table.add_column(sa.Column("averaged", sa.Boolean(), nullable=False, server_default=sa.false()))
        table.drop_constraint(_ONE, type_="unique")
        table.create_unique_constraint(_ONE_OF_EACH, ["run_id", "epoch", "averaged"])
    said = (
        "card #>> '{origin,averaged}' = 'true'"
        if op.get_bind().dialect.name == "postgresql"
        else "json_extract(card, '$.origin.averaged') = 1"
    )
    op.execute(f"UPDATE checkpoints SET averaged = true WHERE {said}")  # noqa: S608  # one of the two above


def downgrade() -> None:
    """Where an epoch has both, its average is no longer of a run; it and its evaluations stay."""
    op.execute(
        "UPDATE checkpoints SET run_id = NULL, epoch = NULL WHERE averaged AND EXISTS (SELECT 1 FROM "
        "checkpoints AS other WHERE other.run_id = checkpoints.run_id AND other.epoch = checkpoints.epoch "
        "AND NOT other.averaged)"
    )
    with op.batch_alter_table("checkpoints") as table:
        table.drop_constraint(_ONE_OF_EACH, type_="unique")
        table.create_unique_constraint(_ONE, ["run_id", "epoch"])
        table.drop_column("averaged")

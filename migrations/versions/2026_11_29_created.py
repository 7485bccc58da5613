"""Experiments are found by when they were made, from an index alone as by all else."""

from alembic import op

revision = "2026_11_29_created"
down_revision = "2026_11_28_traceparents"
branch_labels = None
depends_on = None

_BEFORE = (
    ["id", "status", "owner", "name_folded"],
    ["status", "id", "owner", "name_folded"],
    ["owner", "id", "status", "name_folded"],
    ["name_folded", "id", "status", "owner"],
)


def upgrade() -> None:
    """Put indexes with the time in the place of those without."""
    for columns in _BEFORE:
        _create([*columns, "created_at"])
        _drop(columns)


def downgrade() -> None:
    """The same in reverse."""
    for columns in _BEFORE:
        _create(columns)
        _drop([*columns, "created_at"])


def _create(columns: list[str]) -> None:
    op.create_index(_name(columns), "experiments", columns)


def _drop(columns: list[str]) -> None:
    op.drop_index(_name(columns), "experiments")


def _name(columns: list[str]) -> str:
    return f"ix_experiments_{'_'.join(columns)}"

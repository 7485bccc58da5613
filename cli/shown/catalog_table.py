"""What a spec can choose among for training, as a table: `gauntlet catalog --markdown`, and in docs/api.md."""

from typing import Final

from gauntlet.spec.catalog import Catalog

# Attacks of an evaluation have pages of their own.
_KINDS: Final = (
    "datasets",
    "architectures",
    "network_options",
    "objectives",
    "adversaries",
    "optimizers",
    "schedules",
    "training_options",
)


def as_markdown(found: Catalog) -> str:
    """A line for each, with its source."""
    rows = ["| of | name | what it is | source |", "| --- | --- | --- | --- |"]
    for kind in _KINDS:
        for entry in getattr(found, kind):
            # In code a bar is escaped in tables, too.
            about = entry.description.replace("|", "\\|")
            rows.append(f"| {kind.replace('_', ' ')} | `{entry.name}` | {about} | {entry.source or '–'} |")
    return "\n".join(rows)

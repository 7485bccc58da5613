"""What a spec can choose among, as a table: `gauntlet catalog --markdown`, and in docs/api.md."""

from typing import Final

from gauntlet.spec.catalog import Catalog

_KINDS: Final = (
    "datasets",
    "architectures",
    "network_options",
    "objectives",
    "adversaries",
    "optimizers",
    "schedules",
    "training_options",
    "experiment_options",
    "attacks",
)


def as_markdown(found: Catalog) -> str:
    """A line for each, with its source."""
    rows = ["| of | name | what it is | source |", "| --- | --- | --- | --- |"]
    for kind in _KINDS:
        for entry in getattr(found, kind):
            # In code a bar is escaped in tables, too.
            about = entry.description.replace("|", "\\|")
            rows.append(f"| {kind.replace('_', ' ')} | `{entry.name}` | {about} | {entry.source or '–'} |")
    for preset in found.presets:
        sources = dict.fromkeys(claim.source for claim in preset.reproduces.claims) if preset.reproduces else ()
        rows.append(f"| presets | `{preset.name}` | {preset.description} | {'; '.join(sources) or '–'} |")
    return "\n".join(rows)

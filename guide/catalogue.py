"""All that a spec can choose among, with every field, its default and bounds."""

import json
from collections.abc import Iterator, Sequence
from typing import Final

from gauntlet.spec.catalog import CatalogEntry, CatalogField, catalog
from guide.markdown import cell, table

_KINDS: Final = {
    "Data sets": "datasets",
    "Networks": "architectures",
    "Network options": "network_options",
    "Objectives": "objectives",
    "Adversaries": "adversaries",
    "Optimisers": "optimizers",
    "Schedules": "schedules",
    "Training options": "training_options",
    "Experiment options": "experiment_options",
    "Attacks of an evaluation": "attacks",
}
_BOUNDS: Final = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}


def as_markdown() -> str:
    """A section for each kind of thing, with a part for each of them."""
    return "\n".join(_sections())


def _sections() -> Iterator[str]:
    found = catalog()
    for title, kind in _KINDS.items():
        yield f"## {title}\n"
        for entry in getattr(found, kind):
            yield from _part(entry)
    yield "## Presets\n"
    yield from (f"- `{preset.name}`: {preset.description}" for preset in found.presets)


def _part(entry: CatalogEntry) -> Iterator[str]:
    called = f"{entry.tag}: {entry.name}" if entry.tag else entry.name
    source = f" Source: {entry.source}." if entry.source else ""
    yield f"### `{called}`\n\n{entry.description}{source}\n"
    yield from table(("field", "what it takes", "default", "what it is"), _rows(entry.fields, ""))


def _rows(fields: Sequence[CatalogField], within: str) -> Iterator[tuple[str, ...]]:
    for field in fields:
        name = f"{within}{field.name}"
        default = "none" if field.default is None else f"`{json.dumps(field.default, ensure_ascii=False)}`"
        yield f"`{name}`", _taken(field), "required" if field.required else default, cell(field.description)
        yield from _rows(field.fields, f"{name}.")


def _taken(field: CatalogField) -> str:
    if field.choices:
        return ", ".join(f"`{choice}`" for choice in field.choices)
    bounds = ((sign, getattr(field, bound)) for bound, sign in _BOUNDS.items())
    told = [f"{sign} {bound:,.12g}" for sign, bound in bounds if bound is not None]
    return ", ".join([field.type or "any", *told])

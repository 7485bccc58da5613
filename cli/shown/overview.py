"""The commands that say who works, what there is, and what can be asked for."""

import sys
from collections.abc import Iterator
from typing import Annotated, Final

import typer

from cli.connection import open_client
from cli.json_output import AsJson, print_json
from cli.shown.catalog_table import as_markdown
from cli.shown.listings import Cell, Column, Listing, print_card, print_listing
from cli.shown.tables import at_time
from cli.terminal import give_up
from gauntlet.resources import OwnerQuotas, OwnerUsage, Usage, Worker
from gauntlet.spec.catalog import Catalog, CatalogEntry, CatalogField

_GIBIBYTE: Final = 1 << 30


def workers(*, json: AsJson = False) -> None:
    """List the workers that were seen within a day, and what each works on."""
    with open_client() as client:
        found = client.workers()
    if json:
        print_json(found)
        return
    columns = [Column("worker"), Column("state"), Column("device"), Column("jobs"), Column("seen"), Column("since")]
    print_listing(Listing(columns, [_of_worker(worker) for worker in found], empty="No worker was seen within a day."))


def _of_worker(worker: Worker) -> list[Cell]:
    jobs = [job.id for job in worker.jobs] + [f"helps {helped.id}" for helped in worker.helps]
    state = "alive" if worker.alive else "silent"
    times = at_time(worker.seen_at), at_time(worker.started_at)
    return [worker.name, state, worker.device or "", ", ".join(jobs) or f"0 of {worker.slots}", *times]


def usage(*, json: AsJson = False) -> None:
    """Say how jobs stand, how long the queue is, what each owner has, and how much room there is."""
    with open_client() as client:
        found = client.usage()
    if json:
        print_json(found)
        return
    print_card("usage", [(Column(name), text) for name, text in _totals(found)])
    columns = [Column("owner"), *(Column(name, "number") for name in ("jobs", "stored", "uploads"))]
    print_listing(Listing(columns, [_of_owner(owner, found.quotas) for owner in found.owners], empty="Nobody has any."))


def _totals(found: Usage) -> Iterator[tuple[str, str]]:
    for name, counts in (("runs", found.runs), ("evaluations", found.evaluations)):
        yield name, ", ".join(f"{count} {status}" for status, count in counts.items()) or "none"
    since = f", the oldest since {at_time(found.queue.oldest_at)}" if found.queue.oldest_at else ""
    yield "queue", f"{found.queue.waiting}{since}"
    if found.disk is not None:
        free, total = found.disk.free_bytes / _GIBIBYTE, found.disk.total_bytes / _GIBIBYTE
        yield "disk", f"{free:.3g} of {total:.3g} GiB free"


def _of_owner(owner: OwnerUsage, most: OwnerQuotas) -> list[Cell]:
    """What the owner has, of what the quotas allow."""
    return [
        owner.owner or "nobody",
        _of_quota(owner.jobs, most.jobs),
        f"{owner.bytes / _GIBIBYTE:.3g}" + (f" of {most.bytes / _GIBIBYTE:.3g}" if most.bytes else "") + " GiB",
        _of_quota(owner.uploads_in_a_day, most.uploads_a_day),
    ]


def _of_quota(has: int, most: int) -> str:
    return f"{has} of {most}" if most else str(has)


def catalog(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="All of one of them, such as pgd.")] = None,
    *,
    markdown: Annotated[bool, typer.Option("--markdown", help="The table of docs/api.md.")] = False,
    json: AsJson = False,
) -> None:
    """List what a spec can choose among, or the fields of one of them."""
    with open_client() as client:
        found = client.catalog()
    if json:
        print_json(found)
        return
    if markdown:
        sys.stdout.write(as_markdown(found) + "\n")
        return
    if name is None:
        rows: list[list[Cell]] = [[kind, entry.name, entry.description] for kind, entry in _entries(found)]
        rows += [["presets", preset.name, preset.description] for preset in found.presets]
        print_listing(Listing([Column("kind"), Column("name"), Column("description")], rows, about=2, grouped=True))
        return
    named = [(kind, entry) for kind, entry in _entries(found) if entry.name == name]
    if not named:
        give_up(f"There is no {name} in the catalog; `gauntlet catalog` lists what there is.")
    for kind, entry in named:
        about = [(Column("of"), kind), (Column("what"), entry.description), (Column("source"), entry.source or "")]
        print_card(
            ": ".join(filter(None, (entry.tag, entry.name))),
            [*about, *((Column(field.name), _told(field)) for field in entry.fields)],
        )


def _entries(found: Catalog) -> Iterator[tuple[str, CatalogEntry]]:
    for kind in Catalog.model_fields:
        if kind not in ("object", "presets"):
            yield from ((kind, entry) for entry in getattr(found, kind))


def _told(field: CatalogField) -> str:
    """What a field takes, in a line."""
    what = " | ".join(map(str, field.choices)) or field.type
    bounds = (("≥", field.ge), (">", field.gt), ("≤", field.le), ("<", field.lt))
    limits = ", ".join(f"{sign} {bound:g}" for sign, bound in bounds if bound is not None)
    default = "required" if field.required else f"default {field.default}"
    said = "; ".join(part for part in (what, limits, default) if part)
    return f"{said}. {field.description}" if field.description else f"{said}."

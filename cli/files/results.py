"""`gauntlet results`: what was measured with the library elsewhere, kept by a service beside its own."""

from pathlib import Path
from typing import Annotated

import typer

from cli.connection import open_client, refusals_told
from cli.json_output import AsJson, print_json, print_plain
from cli.shown.listings import Cell, Column, Listing, print_listing
from cli.shown.tables import at_time
from cli.terminal import errors, give_up, inaccessible, say, tell_id
from gauntlet.errors import DocumentInvalid
from gauntlet.rendering.elsewhere import ElsewhereFormat
from gauntlet.report.numbers import NOTHING, per_cent
from gauntlet.results.elsewhere import ELSEWHERE
from gauntlet.spec.evaluations.attacks import attack_label
from gauntlet.spec.reading.documents import read_json

app = typer.Typer(no_args_is_help=True, help="Bring, list and show results that were measured elsewhere.")

_Id = Annotated[str, typer.Argument(metavar="RESULT", help="Its id, res_…, as the list shows it.")]


@app.command()
def bring(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="The JSON of an ElsewhereResult.")
    ],
    *,
    as_json: AsJson = False,
) -> None:
    """Have the service keep a result that the library found, marked as measured elsewhere."""
    try:
        document = read_json(file.read_bytes())
    except DocumentInvalid as error:
        give_up(f"{file}: {error}")
    except OSError as error:
        give_up(inaccessible(error))
    if not isinstance(document, dict):
        give_up(f"{file} holds no JSON object.")
    with (
        open_client() as client,
        refusals_told(lambda pointer, message: f"{file}: {pointer or 'as a whole'}: {message}"),
    ):
        kept = client.bring_result(document)
    if as_json:
        print_json(kept)
        return
    tell_id(kept.id)
    for doubt in kept.doubts:
        say(doubt.sentence, errors, "yellow")


@app.command("list")
def list_results(*, as_json: AsJson = False) -> None:
    """List results that were measured elsewhere, the newest first."""
    with open_client() as client:
        found = list(client.results())
    if as_json:
        print_json(found)
        return
    columns = [Column("result", "id"), *map(Column, ("name", "owner", "when", "measured", "data set", "accuracies"))]
    rows: list[list[Cell]] = [
        [
            each.id,
            each.name,
            each.owner or NOTHING,
            at_time(each.created_at),
            each.measured,
            each.outcome.natural_protocol.dataset,
            [
                f"natural: {per_cent(each.outcome.natural.value)}",
                *(f"{attack_label(one.attack)}: {per_cent(one.accuracy.value)}" for one in each.outcome.attacks),
            ],
        ]
        for each in found
    ]
    print_listing(Listing(columns, rows, empty="There are no results of elsewhere."))
    if found:
        say(ELSEWHERE.sentence, errors)


@app.command()
def show(
    result: _Id,
    *,
    format: Annotated[ElsewhereFormat, typer.Option(help="md, csv or json.")] = "md",
    as_json: AsJson = False,
) -> None:
    """Write one as Markdown, CSV or JSON."""
    with open_client() as client:
        if as_json or format == "json":
            print_json(client.result(result))
        else:
            typer.echo(client.rendered_result(result, format), nl=False)


@app.command()
def delete(result: _Id, *, as_json: AsJson = False) -> None:
    """Forget one."""
    with open_client() as client:
        client.delete_result(result)
    if as_json:
        print_plain({"id": result, "deleted": True})

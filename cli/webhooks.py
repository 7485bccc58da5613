"""`gauntlet webhooks`: who is told of ended experiments and alarms."""

from typing import Annotated

import typer

from cli.connection import open_client
from cli.json_output import AsJson, print_json, print_plain
from cli.shown.listings import Column, Listing, print_listing
from cli.shown.tables import at_time
from cli.terminal import errors, say, tell_id
from gauntlet.report.numbers import NOTHING

app = typer.Typer(no_args_is_help=True, help="Have ended experiments and alarms sent to a URL.")

_Id = Annotated[str, typer.Argument(metavar="WEBHOOK", help="Its id, hook_…, as the list shows it.")]


@app.command()
def create(
    url: Annotated[str, typer.Argument(metavar="URL", help="Where a POST is sent for each event.")],
    *,
    event: Annotated[
        list[str] | None, typer.Option("--event", help="experiment.ended or alarm; may be repeated. Both without it.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Have events sent there from now on. The secret that signs them is printed this once."""
    with open_client() as client:
        made = client.create_webhook({"url": url, **({"events": event} if event else {})})
    if as_json:
        print_json(made)
        return
    say(f"{made.id} is told from now on. The secret that every request is signed with, shown this once:", errors)
    tell_id(made.secret)


@app.command("list")
def list_webhooks(*, as_json: AsJson = False) -> None:
    """List all webhooks."""
    with open_client() as client:
        found = list(client.webhooks())
    if as_json:
        print_json(found)
        return
    columns = [Column("webhook", "id"), *map(Column, ("owner", "events", "URL"))]
    rows = [[hook.id, hook.owner or NOTHING, ", ".join(hook.events), hook.url] for hook in found]
    print_listing(Listing(columns, rows, empty="There are no webhooks."))


@app.command()
def delete(webhook: _Id, *, as_json: AsJson = False) -> None:
    """Send nothing more there."""
    with open_client() as client:
        client.delete_webhook(webhook)
    if as_json:
        print_plain({"id": webhook, "deleted": True})


@app.command()
def deliveries(webhook: _Id, *, as_json: AsJson = False) -> None:
    """List what was sent to a webhook, waits to be, or was given up."""
    with open_client() as client:
        found = list(client.deliveries(webhook))
    if as_json:
        print_json(found)
        return
    columns = [Column("delivery", "id"), *map(Column, ("when", "event", "state", "tries", "fault"))]
    rows = [
        [each.id, at_time(each.created_at), each.type, each.status, str(each.attempts), each.fault or NOTHING]
        for each in found
    ]
    print_listing(Listing(columns, rows, empty="Nothing has been sent there."))

"""`gauntlet whoami` and `gauntlet audit`: who one is to a service, and, for admins, who did what there."""

from itertools import islice
from typing import Annotated

import typer

from cli.connection import open_client
from cli.json_output import AsJson, print_json
from cli.shown.filters import Within, since
from cli.shown.listings import Column, Listing, print_card, print_listing
from cli.shown.tables import at_time
from gauntlet.report.numbers import NOTHING
from gauntlet.resources import AuditEntry

_NOBODY = "nobody"


def whoami(*, as_json: AsJson = False) -> None:
    """Say whose token GAUNTLET_TOKEN is, and what it may do."""
    with open_client() as client:
        session = client.session()
    if as_json:
        print_json(session)
        return
    until = session.expires_at
    print_card(
        session.owner or _NOBODY,
        [
            (Column("scope"), session.scope),
            (Column("until"), None if until is None else at_time(until)),
            (Column("login"), None if session.login else "The service wants none: everybody may do everything."),
        ],
    )


def audit(
    *,
    owner: Annotated[str | None, typer.Option(help="Only what this owner did, or was refused.")] = None,
    within: Within = None,
    last: Annotated[int, typer.Option(min=1, help="How many at most.")] = 100,
    as_json: AsJson = False,
) -> None:
    """List who changed what, or was refused to, the newest first; takes an admin's token."""
    with open_client() as client:
        found = list(islice(client.audit(owner, since=since(within)), last))
    if as_json:
        print_json(found)
    else:
        print_listing(audit_listing(found))


def audit_listing(entries: list[AuditEntry]) -> Listing:
    """One row per entry."""
    return Listing(
        [Column("when"), Column("owner"), Column("request"), Column("of", "id"), Column("outcome")],
        [
            [
                at_time(entry.created_at),
                entry.owner or _NOBODY,
                f"{entry.method} {entry.route}",
                entry.subject or NOTHING,
                entry.outcome.replace("-", " "),
            ]
            for entry in entries
        ],
        empty="There are no entries.",
    )

"""`gauntlet tokens`: on the server's machine, by its database, so that the first token needs none."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from rich.table import Table

from cli.connection import console, give_up
from gauntlet.spec.messages import faults
from gauntlet.spec.tokens import TokenRequest
from service.settings import ServiceSettings
from store import secret_key
from store import tokens as rows
from store.database import Database, migrate
from store.errors import NotFound
from store.token_text import new_token

app = typer.Typer(
    no_args_is_help=True,
    help="Make, list and revoke the tokens that open the API. For the server's machine: works on its database.",
)
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
_PAGE = 100


@app.command()
def create(
    *,
    owner: Annotated[str, typer.Option(help="Whose it is: one word, such as a name or an address.")],
    scope: Annotated[str, typer.Option(help="read, submit (asks for work too) or admin (gives tokens too).")] = "read",
    name: Annotated[str | None, typer.Option(help="What it is for.")] = None,
    expires: Annotated[str | None, typer.Option(help="After how long it opens nothing: 12h, 90d, 4w.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a token and print it, this once."""
    try:
        request = TokenRequest.model_validate({"owner": owner, "scope": scope, "name": name, "expires": expires})
    except ValidationError as error:
        give_up(" ".join(f"--{fault.pointer.strip('/')}: {fault.message}" for fault in faults(error.errors())))
    with _store() as (database, settings):
        key = secret_key.read_or_make(settings.secret_key_file)
        with database.writing() as session:
            row, text = rows.create(session, key, request)
            shown = rows.show(row)
    if as_json:
        _print_json({**shown.model_dump(mode="json"), "token": text})
    else:
        console.print(text, highlight=False, soft_wrap=True)


@app.command("list")
def list_tokens(*, as_json: AsJson = False) -> None:
    """List all tokens, but for what they say themselves."""
    with _store() as (database, _), database.reading() as session:
        found, after = [], None
        while True:
            page = rows.page(session, after=after, limit=_PAGE)
            found += [rows.show(row) for row in page.rows]
            if not page.has_more:
                break
            after = page.rows[-1].id
    if as_json:
        _print_json([token.model_dump(mode="json") for token in found])
        return
    table = Table()
    for heading in ("token", "owner", "scope", "expires", "last used", "state"):
        table.add_column(heading, overflow="fold")
    for token in found:
        days = [f"{at:%Y-%m-%d}" if at else "never" for at in (token.expires_at, token.last_used_at)]
        table.add_row(token.id, token.owner, token.scope, *days, "revoked" if token.revoked_at else "")
    console.print(table)


@app.command()
def revoke(token: Annotated[str, typer.Argument(metavar="TOKEN", help="Its id, tok_…, as the list shows it.")]) -> None:
    """Let a token open nothing from now on."""
    try:
        with _store() as (database, _), database.writing() as session:
            rows.revoke(session, token)
    except NotFound as error:
        give_up(str(error))


@app.command()
def generate() -> None:
    """Print a fresh token that opens nothing yet: for the file that GAUNTLET_FIRST_TOKEN_FILE names."""
    console.print(new_token(), highlight=False, soft_wrap=True)


@contextmanager
def _store() -> Iterator[tuple[Database, ServiceSettings]]:
    settings = ServiceSettings()
    migrate(settings.database_url)
    database = Database(settings.database_url)
    try:
        yield database, settings
    finally:
        database.close()


def _print_json(document: Any) -> None:
    typer.echo(json.dumps(document, indent=1))

"""`gauntlet tokens`: on the server's machine, by its database, so that the first token needs none."""

from collections.abc import Iterator
from contextlib import contextmanager
from getpass import getuser
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import ValidationError

from cli.json_output import AsJson, print_json, print_plain
from cli.machine.faults import faults_told
from cli.shown.listings import Cell, Column, Listing, print_listing
from cli.shown.tables import at_time
from cli.terminal import give_up, tell_id
from gauntlet.settings import SettingsInvalid
from gauntlet.spec.asked.tokens import TokenRequest
from gauntlet.spec.reading.messages import faults
from store.accounts.token_text import new_token

# What works on the database is imported inside the functions, as in up: all other commands start without SQLAlchemy.
if TYPE_CHECKING:
    from service.settings import ServiceSettings
    from store.accounts.audit import Deed
    from store.database import Database

app = typer.Typer(
    no_args_is_help=True,
    help="Make, list and revoke the tokens that open the API. For the server's machine: works on its database.",
)
_PAGE = 100


@app.command()
def create(
    *,
    owner: Annotated[
        str | None,
        typer.Option(help="Whose it is: one word, such as a name or an address. Without it, who is logged in here."),
    ] = None,
    scope: Annotated[str, typer.Option(help="read, submit (asks for work too) or admin (gives tokens too).")] = "read",
    name: Annotated[str | None, typer.Option(help="What it is for.")] = None,
    expires: Annotated[str | None, typer.Option(help="After how long it opens nothing: 12h, 90d, 4w.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a token and print it, this once."""
    from store.accounts import audit, secret_key
    from store.accounts import tokens as rows

    asked = {"owner": _logged_in() if owner is None else owner, "scope": scope, "name": name, "expires": expires}
    try:
        request = TokenRequest.model_validate(asked)
    except ValidationError as error:
        give_up(" ".join(f"--{fault.pointer.strip('/')}: {fault.message}" for fault in faults(error.errors())))
    with _store() as (database, settings):
        key = secret_key.read_or_make(settings.secret_key_file)
        with database.writing() as session:
            row, text = rows.create(session, key, request)
            audit.note(session, _deed("create", row.id))
            shown = rows.show(row)
    if as_json:
        print_plain({**shown.model_dump(mode="json"), "token": text})
    else:
        tell_id(text)


def _logged_in() -> str:
    """Who runs this command, by the system's word."""
    try:
        return getuser()
    except OSError:
        give_up("This user has no name here: say whose the token is to be by --owner.")


@app.command("list")
def list_tokens(*, as_json: AsJson = False) -> None:
    """List all tokens, but for what they say themselves."""
    from store.accounts import tokens as rows

    with _store() as (database, _), database.reading() as session:
        found, after = [], None
        while True:
            page = rows.page(session, after=after, limit=_PAGE)
            found += [rows.show(row) for row in page.rows]
            if not page.has_more:
                break
            after = page.rows[-1].id
    if as_json:
        print_json(found)
        return
    columns = [Column("token", "id"), *map(Column, ("owner", "scope", "expires", "last used", "state"))]
    listed: list[list[Cell]] = [
        [
            token.id,
            token.owner,
            token.scope,
            *(at_time(moment) if moment else "never" for moment in (token.expires_at, token.last_used_at)),
            "revoked" if token.revoked_at else "",
        ]
        for token in found
    ]
    print_listing(Listing(columns, listed, empty="There are no tokens."))


@app.command()
def revoke(
    token: Annotated[str, typer.Argument(metavar="TOKEN", help="Its id, tok_…, as the list shows it.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Let a token open nothing from now on."""
    from store.accounts import audit
    from store.accounts import tokens as rows
    from store.errors import NotFound

    try:
        with _store() as (database, _), database.writing() as session:
            shown = rows.show(rows.revoke(session, token))
            audit.note(session, _deed("revoke", token))
    except NotFound as error:
        give_up(str(error))
    if as_json:
        print_json(shown)


@app.command()
def generate(*, as_json: AsJson = False) -> None:
    """Print a fresh token that opens nothing yet: for the file that GAUNTLET_FIRST_TOKEN_FILE names."""
    text = new_token()
    if as_json:
        print_plain({"token": text})
    else:
        tell_id(text)


def _deed(command: str, token: str) -> "Deed":
    """What stands in the audit list: nobody's, for whoever may write to the database needs no token."""
    from store.accounts.audit import Deed

    return Deed(
        owner=None, token=None, method="COMMAND", route=f"gauntlet tokens {command}", subject=token, request_id=None
    )


@contextmanager
def _store() -> Iterator[tuple["Database", "ServiceSettings"]]:
    from service.settings import ServiceSettings
    from store.database import Database, migrate

    try:
        settings = ServiceSettings.from_environment()
    except SettingsInvalid as error:
        give_up(str(error))
    with faults_told(settings.database_url):
        migrate(settings.database_url)
        database = Database(settings.database_url)
        try:
            yield database, settings
        finally:
            database.close()

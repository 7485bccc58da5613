"""The commands that run a Gauntlet on this machine, and say how it is set up."""

import sys
from typing import Annotated

import typer
from rich.text import Text

import gauntlet
from cli.terminal import console, give_up, say
from client import GauntletClientError
from store.environment import SettingsInvalid


def up() -> None:
    """Run the embedded system in the foreground until Ctrl-C."""
    # Imported here, as in demo: the commands that only talk to a service start without SQLAlchemy and the rest.
    from cli.embedded import StartFailed, run_embedded
    from service.settings import ServiceSettings
    from worker.settings import WorkerSettings

    try:
        run_embedded(ServiceSettings.from_environment(), WorkerSettings.from_environment(), console)
    except (StartFailed, SettingsInvalid) as error:
        give_up(str(error))


def demo() -> None:
    """Start everything, run the quickstart comparison, show its report, stop."""
    from cli.demo import run_demo
    from cli.embedded import StartFailed
    from service.settings import ServiceSettings
    from worker.settings import WorkerSettings

    try:
        # Looked at here too: the worker's own refusal would be in a log.
        WorkerSettings.from_environment()
        run_demo(ServiceSettings.from_environment(), console)
    except (StartFailed, GauntletClientError, SettingsInvalid) as error:
        give_up(str(error))


def migrate() -> None:
    """Bring the database's schema up to date (`gauntlet up` does so by itself)."""
    from store import logs
    from store.database import migrate as migrate_database
    from store.settings import StoreSettings

    try:
        settings = StoreSettings.from_environment()
    except SettingsInvalid as error:
        give_up(str(error))
    logs.configure("migrate", settings.log_format)
    migrate_database(settings.database_url)


def settings(
    *,
    markdown: Annotated[bool, typer.Option("--markdown", help="The table of docs/settings.md.")] = False,
) -> None:
    """List every setting: the variable, what it is here, and what it means."""
    from cli.setting_list import as_markdown, current_values, listed_settings

    if markdown:
        sys.stdout.write(as_markdown() + "\n")
        return
    try:
        now = current_values()
    except SettingsInvalid as error:
        give_up(str(error))
    for each in listed_settings():
        say(Text.assemble((each.variable, "bold"), f"={now[each.name]}"))
        say(f"  {each.meaning} It may be {each.allowed}. Read by: {', '.join(each.read_by)}.")


def print_version(asked: bool) -> None:
    """The callback of `--version`."""
    if asked:
        say(f"gauntlet {gauntlet.__version__}")
        raise typer.Exit

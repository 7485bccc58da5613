"""The commands that run a Gauntlet on this machine, and say how it is set up."""

import sys
from dataclasses import asdict
from typing import Annotated

import typer
from rich.text import Text

import gauntlet
from cli.json_output import AsJson, print_json, print_plain
from cli.machine.faults import faults_told
from cli.terminal import console, errors, give_up, say
from gauntlet.client import GauntletClientError
from gauntlet.settings import SettingsInvalid


def up(*, json: AsJson = False) -> None:
    """Run the embedded system in the foreground until Ctrl-C."""
    # Imported here, as in demo: the commands that only talk to a service start without SQLAlchemy and the rest.
    from cli.machine.embedded import StartFailed, run_embedded
    from service.settings import ServiceSettings
    from worker.settings import WorkerSettings

    try:
        service, worker = ServiceSettings.from_environment(), WorkerSettings.from_environment()
        with faults_told(service.database_url):
            run_embedded(service, worker, errors if json else console, as_json=json)
    except (StartFailed, SettingsInvalid) as error:
        give_up(str(error))


def demo(*, json: AsJson = False) -> None:
    """Start everything, run the quickstart comparison, show its report, stop."""
    from cli.machine.demo import run_demo
    from cli.machine.embedded import StartFailed
    from service.settings import ServiceSettings
    from worker.settings import WorkerSettings

    try:
        # Looked at here too: the worker's own refusal would be in a log.
        WorkerSettings.from_environment()
        report = run_demo(ServiceSettings.from_environment(), errors if json else console)
    except (StartFailed, GauntletClientError, SettingsInvalid) as error:
        give_up(str(error))
    if json:
        print_json(report)


def migrate(*, json: AsJson = False) -> None:
    """Bring the database's schema up to date (`gauntlet up` does so by itself)."""
    from store import logs
    from store.database import migrate as migrate_database
    from store.settings import StoreSettings
    from store.texts import masked

    try:
        settings = StoreSettings.from_environment()
    except SettingsInvalid as error:
        give_up(str(error))
    logs.configure("migrate", settings.log_format)
    with faults_told(settings.database_url):
        migrate_database(settings.database_url)
    if json:
        print_plain({"database": masked(settings.database_url)})


def settings(
    *,
    markdown: Annotated[bool, typer.Option("--markdown", help="The table of docs/settings.md.")] = False,
    json: AsJson = False,
) -> None:
    """List every setting: the variable, what it is here, and what it means."""
    from cli.machine.setting_list import as_markdown, current_values, listed_settings

    if markdown:
        sys.stdout.write(as_markdown() + "\n")
        return
    try:
        now = current_values()
    except SettingsInvalid as error:
        give_up(str(error))
    if json:
        print_plain(
            [{"variable": each.variable, "value": now[each.name], **asdict(each)} for each in listed_settings()]
        )
        return
    for each in listed_settings():
        say(Text.assemble((each.variable, "bold"), f"={now[each.name]}"))
        say(f"  {each.meaning} It may be {each.allowed}. Read by: {', '.join(each.read_by)}.")


def print_version(asked: bool) -> None:
    """The callback of `--version`."""
    if asked:
        say(f"gauntlet {gauntlet.__version__}")
        raise typer.Exit

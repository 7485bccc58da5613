"""What a command does with an experiment that it stays with."""

import typer
from rich.console import Console

from cli.jobs.watching import watch
from cli.json_output import print_json
from cli.shown.report_tables import print_report
from cli.terminal import FAILED, INTERRUPTED, UNANSWERED, console, errors, give_up, say
from gauntlet.client import GauntletClient, GauntletClientError
from gauntlet.resources import Experiment


def follow(client: GauntletClient, experiment: str, *, as_json: bool = False) -> None:
    """Show how far it is until it ends, then its report; what did not succeed ends the command.

    As JSON the experiment that ended is written, and how far it is goes to standard error.
    """
    ended = stay(client, experiment, errors if as_json else console)
    if as_json:
        print_json(ended)
    else:
        print_report(client.report(experiment))
    if ended.status != "succeeded":
        raise typer.Exit(FAILED)


def stay(client: GauntletClient, experiment: str, to: Console) -> Experiment:
    """Show how far it is until it ends, and return it; whoever does not stay is told how to return."""
    try:
        return watch(client, experiment, to)
    except KeyboardInterrupt:
        again = f"gauntlet watch {experiment} returns to it, gauntlet cancel {experiment} ends it."
        say(f"The experiment goes on. {again}", to)
        raise typer.Exit(INTERRUPTED) from None
    except GauntletClientError as error:
        if not error.may_pass:
            raise
        give_up(f"{error}\nThe experiment may go on without it: gauntlet watch {experiment} returns to it.", UNANSWERED)

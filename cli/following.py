"""What a command does with an experiment that it stays with."""

import typer

from cli.report_tables import print_report
from cli.terminal import FAILED, INTERRUPTED, UNANSWERED, console, give_up, say
from cli.watching import watch
from client import GauntletClient, GauntletClientError


def follow(client: GauntletClient, experiment: str) -> None:
    """Show how far it is until it ends, then its report; what did not succeed ends the command."""
    try:
        ended = watch(client, experiment, console)
    except KeyboardInterrupt:
        say(f"The experiment goes on. gauntlet watch {experiment} returns to it, gauntlet cancel {experiment} ends it.")
        raise typer.Exit(INTERRUPTED) from None
    except GauntletClientError as error:
        if not error.may_pass:
            raise
        give_up(f"{error}\nThe experiment may go on without it: gauntlet watch {experiment} returns to it.", UNANSWERED)
    print_report(client.report(experiment))
    if ended.status != "succeeded":
        raise typer.Exit(FAILED)

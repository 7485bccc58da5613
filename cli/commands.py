"""The `gauntlet` command: submitting, following, cancelling, and running a Gauntlet on this machine."""

from typing import Annotated

import typer

from cli import access, checking, checkpoints, controls, datasets, evaluations, events, lists, logs, system, tokens
from cli.connection import open_client
from cli.documents import read_spec, told_where_it_stands
from cli.identifiers import KINDS, kind_of
from cli.report_tables import print_report
from cli.terminal import FAILED, INTERRUPTED, UNANSWERED, console, give_up, say, tell_id, write_any_letter
from cli.watching import watch as watch_experiment
from client import GauntletClient, GauntletClientError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Train image classifiers on adversarial examples and measure how robust they are. "
    "Commands that talk to a service use GAUNTLET_URL, or else port GAUNTLET_PORT (8000) of this machine.",
    epilog="Exit status: 0 it was done, and what was watched succeeded; 1 it failed, was refused or has faults; 2 the "
    "command line is wrong; 3 no service answers; 130 Ctrl-C.",
)
app.add_typer(datasets.app, name="datasets")
app.add_typer(tokens.app, name="tokens")


@app.callback()
def gauntlet(
    *,
    version: Annotated[  # noqa: ARG001  # its callback does the work
        bool, typer.Option("--version", callback=system.print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    write_any_letter()


@app.command()
def submit(
    spec: Annotated[str, typer.Argument(metavar="SPEC", help="A YAML or JSON file, or the name of a preset.")],
    *,
    watch: Annotated[bool, typer.Option("--watch", help="Stay and show the progress, then the report.")] = False,
) -> None:
    """Queue an experiment."""
    file = read_spec(spec)
    with open_client() as client:
        with told_where_it_stands(file):
            experiment = client.submit(file.fields)
        tell_id(experiment.id)
        if watch:
            _follow(client, experiment.id)


@app.command()
def watch(
    identifiers: Annotated[
        list[str], typer.Argument(metavar="ID...", help="An experiment, or one evaluation or several.")
    ],
) -> None:
    """Show how far an experiment or evaluations are until they end, then the result.

    On a screen each job has a bar; elsewhere there is a line for each epoch and each attack that ends.
    """
    kinds = {kind_of(identifier) for identifier in identifiers}
    with open_client() as client:
        if kinds == {KINDS["exp"]} and len(identifiers) == 1:
            _follow(client, identifiers[0])
        elif kinds == {KINDS["eval"]}:
            evaluations.follow(client, identifiers)
        else:
            raise typer.BadParameter("One experiment can be watched, or any evaluations.")


for _command in (
    checking.check,
    lists.experiments,
    lists.runs,
    lists.report,
    lists.checkpoints,
    lists.show,
    events.events,
    controls.cancel,
    controls.pause,
    controls.resume,
    controls.retry,
    controls.priority,
    controls.delete,
    logs.log,
    checkpoints.weights,
    checkpoints.classify,
    evaluations.evaluate,
    evaluations.extend,
    evaluations.evaluations,
    evaluations.leaderboard,
    evaluations.transfer,
    access.whoami,
    access.audit,
    system.up,
    system.demo,
    system.migrate,
    system.settings,
):
    app.command()(_command)
app.command("import")(checkpoints.import_weights)


def _follow(client: GauntletClient, experiment: str) -> None:
    try:
        ended = watch_experiment(client, experiment, console)
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

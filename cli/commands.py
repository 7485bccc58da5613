"""The `gauntlet` command: submitting, following, cancelling, and running a Gauntlet on this machine."""

from typing import Annotated

import typer

from cli import access, webhooks
from cli.connection import open_client
from cli.files import checkpoints, converting, datasets, exporting, pictures, results, verifying
from cli.identifiers import KINDS, kind_of
from cli.jobs import changing, checking, controls, evaluations, reproducing, submitting
from cli.jobs.following import follow
from cli.json_output import AsJson
from cli.machine import backups, doctor, system, tokens
from cli.shown import events, lists, logs, overview
from cli.terminal import write_any_letter

app = typer.Typer(
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    help="Train image classifiers on adversarial examples and measure how robust they are. "
    "Commands that talk to a service use GAUNTLET_URL, or else port GAUNTLET_PORT (8000) of this machine.",
    epilog="Exit status: 0 it was done, and what was watched succeeded; 1 it failed, was refused or has faults; 2 the "
    "command line is wrong; 3 no service answers; 130 Ctrl-C.",
)
app.add_typer(datasets.app, name="datasets")
app.add_typer(results.app, name="results")
app.add_typer(tokens.app, name="tokens")
app.add_typer(webhooks.app, name="webhooks")


@app.callback()
def gauntlet(
    *,
    version: Annotated[  # noqa: ARG001  # its callback does the work
        bool, typer.Option("--version", callback=system.print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    write_any_letter()


@app.command()
def watch(
    identifiers: Annotated[
        list[str], typer.Argument(metavar="ID...", help="An experiment, or one evaluation or several.")
    ],
    *,
    json: AsJson = False,
) -> None:
    """Show how far an experiment or evaluations are until they end, then the result.

    On a screen each job has a bar; elsewhere there is a line for each epoch and each attack that ends.
    As JSON what has ended is written, and how far it is goes to standard error.
    """
    kinds = {kind_of(identifier) for identifier in identifiers}
    with open_client() as client:
        if kinds == {KINDS["exp"]} and len(identifiers) == 1:
            follow(client, identifiers[0], as_json=json)
        elif kinds == {KINDS["eval"]}:
            evaluations.follow(client, identifiers, as_json=json)
        else:
            raise typer.BadParameter("One experiment can be watched, or any evaluations.")


for _command in (
    submitting.submit,
    checking.check,
    reproducing.reproduce,
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
    changing.change,
    logs.log,
    checkpoints.weights,
    converting.convert,
    exporting.export,
    exporting.track,
    pictures.classify,
    evaluations.evaluate,
    evaluations.extend,
    evaluations.evaluations,
    verifying.pictures,
    verifying.verify,
    evaluations.leaderboard,
    evaluations.transfer,
    overview.workers,
    overview.usage,
    overview.catalog,
    doctor.doctor,
    access.whoami,
    access.audit,
    system.up,
    system.demo,
    system.migrate,
    backups.backup,
    backups.restore,
    system.settings,
):
    app.command()(_command)
app.command("import")(checkpoints.import_weights)

"""The `gauntlet` command."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from cli import checking, evaluations, system, tokens
from cli.connection import console, errors, give_up, open_client
from cli.documents import read, read_spec, told_where_it_stands
from cli.tables import checkpoints_table, classifications_table, experiments_table, print_report, runs_tables
from cli.watching import watch as watch_experiment
from client import GauntletClient
from gauntlet.resources import TERMINAL
from gauntlet.spec.checkpoint_card import ImportCard
from gauntlet.spec.files import SpecFile

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Train image classifiers on adversarial examples and measure how robust they are. "
    "Commands that talk to a service use GAUNTLET_URL, or else port GAUNTLET_PORT (8000) of this machine.",
)
app.add_typer(tokens.app, name="tokens")


@app.callback()
def gauntlet(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=system.print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


ExperimentId = Annotated[str, typer.Argument(metavar="EXPERIMENT", help="The experiment's id.")]


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
        console.print(experiment.id, highlight=False)
        if watch:
            _follow(client, experiment.id)


@app.command()
def watch(experiment: ExperimentId) -> None:
    """Show an experiment's progress until it ends, then its report."""
    with open_client() as client:
        _follow(client, experiment)


@app.command()
def experiments() -> None:
    """List the experiments."""
    with open_client() as client:
        console.print(experiments_table(client.experiments()))


@app.command()
def runs(
    experiment: Annotated[str | None, typer.Argument(metavar="[EXPERIMENT]", help="Only this experiment's.")] = None,
) -> None:
    """List the runs."""
    with open_client() as client:
        for table in runs_tables(client.runs(experiment)):
            console.print(table)


@app.command()
def report(
    experiment: ExperimentId,
    *,
    format: Annotated[str, typer.Option(help="table, md, json, html, csv or tex.")] = "table",
) -> None:
    """Show an experiment's report."""
    with open_client() as client:
        match format:
            case "table":
                print_report(client.report(experiment), console)
            case "json":
                sys.stdout.write(client.report(experiment).model_dump_json(indent=2) + "\n")
            case "md" | "html" | "csv" | "tex":
                sys.stdout.write(client.report_text(experiment, format))
            case _:
                give_up("The format must be table, md, json, html, csv or tex.")


@app.command()
def checkpoints(run: Annotated[str | None, typer.Argument(metavar="[RUN]", help="Only this run's.")] = None) -> None:
    """List the checkpoints."""
    with open_client() as client:
        console.print(checkpoints_table(client.checkpoints(run)))


@app.command()
def weights(
    checkpoint: Annotated[str, typer.Argument(metavar="CHECKPOINT")],
    out: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write the safetensors file.")],
) -> None:
    """Download a checkpoint's weights."""
    with open_client() as client:
        content = client.weights(checkpoint)
        try:
            out.write_bytes(content)
        except OSError as error:
            give_up(f"The weights cannot be written: {error}.")
        console.print(f"{out}: {len(content):,} bytes", highlight=False, soft_wrap=True)


@app.command("import")
def import_weights(
    weights: Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="A safetensors file.")],
    *,
    card: Annotated[Path | None, typer.Option(help="A JSON or YAML file that describes the model.")] = None,
    name: Annotated[str | None, typer.Option(help="What to call it; by default the file's name.")] = None,
    source: Annotated[str | None, typer.Option(help="Where the weights come from.")] = None,
    architecture: Annotated[str | None, typer.Option(help="cnn or resnet18.")] = None,
    dataset: Annotated[
        str | None, typer.Option(help="digits, cifar10, or a folder of images, whose classes need a --card.")
    ] = None,
) -> None:
    """Import a model trained elsewhere; an option overrides what the card says."""
    said = {
        "name": name,
        "source": source,
        "architecture": None if architecture is None else {"kind": architecture},
        "dataset": None if dataset is None else _dataset(dataset),
    }
    file = SpecFile(weights, {}, {}) if card is None else read(card, ImportCard)
    given = {field: value for field, value in said.items() if value is not None}
    with open_client() as client:
        with told_where_it_stands(file, within="/card"):
            imported = client.import_checkpoint(weights, {"name": weights.stem} | file.fields | given)
        console.print(imported.id, highlight=False)
        for finding in imported.findings:
            errors.print(escape(finding.message), style="yellow")


def _dataset(name: str) -> dict[str, Any]:
    return {"name": name} if name in {"digits", "cifar10"} else {"name": "image_folder", "folder": name}


@app.command()
def classify(
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", exists=True, dir_okay=False)],
    checkpoint: Annotated[list[str], typer.Option(help="A checkpoint's id; may be repeated.")],
) -> None:
    """Classify PNG or JPEG images with one or more checkpoints."""
    with open_client() as client:
        console.print(classifications_table(client.classify(images, checkpoint)))


for _command in (
    checking.check,
    evaluations.evaluate,
    evaluations.extend,
    evaluations.evaluations,
    evaluations.leaderboard,
    evaluations.transfer,
    system.up,
    system.demo,
    system.migrate,
    system.settings,
):
    app.command()(_command)


@app.command()
def cancel(identifier: Annotated[str, typer.Argument(metavar="ID", help="An experiment, run or evaluation.")]) -> None:
    """Cancel a job, or all of an experiment."""
    with open_client() as client:
        match identifier.partition("_")[0]:
            case "run":
                status = client.cancel_run(identifier).status
            case "eval":
                status = client.cancel_evaluation(identifier).status
            case _:
                status = client.cancel_experiment(identifier).status
        ended = status in TERMINAL
        console.print(f"{identifier}: {status if ended else 'cancelling; running jobs stop at their next batch'}")


def _follow(client: GauntletClient, experiment: str) -> None:
    try:
        ended = watch_experiment(client, experiment, console)
    except KeyboardInterrupt:
        hint = (
            f"The experiment goes on. gauntlet watch {experiment} returns to it, gauntlet cancel {experiment} ends it."
        )
        console.print(hint, soft_wrap=True)
        raise typer.Exit(130) from None
    print_report(client.report(experiment), console)
    if ended.status != "succeeded":
        raise typer.Exit(1)

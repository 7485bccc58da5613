"""The commands that list or show what there is."""

import sys
from typing import Annotated

import typer

from cli import showing
from cli.connection import open_client
from cli.identifiers import AnyId, ExperimentId, SomeExperimentId, SomeRunId
from cli.json_output import AsJson, print_json
from cli.listings import print_listing
from cli.report_tables import print_report
from cli.tables import checkpoints_listing, experiments_listing, runs_listing


def experiments(*, json: AsJson = False) -> None:
    """List the experiments, the newest first."""
    with open_client() as client:
        found = client.experiments()
        if json:
            print_json(found)
        else:
            print_listing(experiments_listing(found))


def runs(experiment: SomeExperimentId = None, *, json: AsJson = False) -> None:
    """List the runs."""
    with open_client() as client:
        found = client.runs(experiment)
        if json:
            print_json(found)
        else:
            print_listing(runs_listing(found))


def checkpoints(run: SomeRunId = None, *, json: AsJson = False) -> None:
    """List the checkpoints."""
    with open_client() as client:
        found = client.checkpoints(run)
        if json:
            print_json(found)
        else:
            print_listing(checkpoints_listing(found))


def report(
    experiment: ExperimentId,
    *,
    format: Annotated[str, typer.Option(help="table, md, json, html, csv or tex.")] = "table",
) -> None:
    """Show an experiment's report."""
    with open_client() as client:
        match format:
            case "table":
                print_report(client.report(experiment))
            case "json":
                sys.stdout.write(client.report(experiment).model_dump_json(indent=2) + "\n")
            case "md" | "html" | "csv" | "tex":
                sys.stdout.write(client.report_text(experiment, format))
            case _:
                raise typer.BadParameter("The format must be table, md, json, html, csv or tex.")


def show(identifier: AnyId, *, json: AsJson = False) -> None:
    """Show one experiment, run, checkpoint or evaluation: how it stands and why, what was asked for, what it has."""
    with open_client() as client:
        about = showing.look_up(client, identifier)
        if json:
            print_json(about.values)
        else:
            about.print()

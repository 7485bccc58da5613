"""The commands that list or show what there is."""

import sys
from typing import Annotated

import typer

from cli.connection import by_option, open_client, refusals_told
from cli.identifiers import AnyId, ExperimentId, SomeExperimentId, SomeRunId
from cli.json_output import AsJson, print_json
from cli.shown import showing
from cli.shown.filters import Statuses, Within, since
from cli.shown.listings import print_listing
from cli.shown.report_tables import print_report
from cli.shown.tables import checkpoints_listing, experiments_listing, runs_listing


def experiments(
    *,
    status: Statuses = [],  # noqa: B006  # the library copies it
    owner: Annotated[str | None, typer.Option(help="Only whose owner this is.")] = None,
    label: Annotated[list[str], typer.Option(help="Only with this label; may be repeated, for all of them.")] = [],  # noqa: B006  # the library copies it
    name: Annotated[str | None, typer.Option(help="Only with this in their name.")] = None,
    within: Within = None,
    order: Annotated[
        str, typer.Option(help="By created_at, name or status; - before it for the other way round.")
    ] = "-created_at",
    json: AsJson = False,
) -> None:
    """List the experiments, the newest first."""
    with open_client() as client, refusals_told(by_option):
        made = since(within)
        found = list(client.experiments(status=status, owner=owner, labels=label, name=name, since=made, order=order))
        if json:
            print_json(found)
        else:
            print_listing(experiments_listing(found))


def runs(
    experiment: SomeExperimentId = None,
    *,
    status: Statuses = [],  # noqa: B006  # the library copies it
    json: AsJson = False,
) -> None:
    """List the runs."""
    with open_client() as client, refusals_told(by_option):
        found = client.runs(experiment, status=status)
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
    json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
) -> None:
    """Show an experiment's report."""
    with open_client() as client:
        if json or format == "json":
            print_json(client.report(experiment))
            return
        match format:
            case "table":
                print_report(client.report(experiment))
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

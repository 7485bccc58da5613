"""One thing in full: what it is, how it stands and why, what was asked for beyond the defaults, and what it has."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple

import yaml
from pydantic import BaseModel
from rich.text import Text

from cli.identifiers import kind_of
from cli.json_output import Value
from cli.shown.dataset_tables import print_dataset
from cli.shown.evaluation_tables import evaluations_listing, print_outcome
from cli.shown.listings import Cell, Column, print_card, print_listing
from cli.shown.tables import at_time, checkpoints_listing, events_listing, job_status, runs_listing, status_of
from cli.terminal import say
from gauntlet.checks.sentences import describe
from gauntlet.client import GauntletClient
from gauntlet.report.numbers import counted, per_cent, selection_title
from gauntlet.resources import Checkpoint, Evaluation, Experiment, Job, Run
from gauntlet.spec.checkpoint_card import Imported
from gauntlet.spec.kinds import dataset_title
from gauntlet.spec.reading.places import tag_of
from gauntlet.spec.runs.objective_labels import objective_title

_MOST_CLASSES = 20

Field = tuple[Column, Cell | None]


class About(NamedTuple):
    """What is known of one id, as values and as it is printed."""

    values: Mapping[str, Value]
    print: Callable[[], None]


def look_up(client: GauntletClient, identifier: str) -> About:
    """Everything that the service says of an id.

    Raises:
        GauntletClientError: there is nothing with that id.
    """
    match kind_of(identifier):
        case "an experiment":
            return _experiment(client, client.experiment(identifier))
        case "a run":
            return _run(client, client.run(identifier))
        case "a checkpoint":
            return _checkpoint(client, client.checkpoint(identifier))
        case "a data set":
            dataset = client.dataset(identifier)
            return About({"dataset": dataset}, lambda: print_dataset(dataset))
        case _:
            return _evaluation(client.evaluation(identifier))


def _experiment(client: GauntletClient, experiment: Experiment) -> About:
    runs = list(client.runs(experiment.id))[::-1]
    evaluations = list(client.evaluations(experiment=experiment.id))[::-1]

    def show() -> None:
        print_card(
            experiment.id,
            [
                _text("name", experiment.name),
                _text("owner", experiment.owner),
                _text("labels", ", ".join(experiment.labels)),
                _text("notes", experiment.notes.splitlines()),
                _text("status", status_of(experiment.status, experiment.status_reason)),
                _text("jobs ended", f"{experiment.progress.completed} of {experiment.progress.total}"),
                _text("submitted", at_time(experiment.created_at)),
                _text("asked for", _stated(experiment.spec)),
                _text("report", f"gauntlet report {experiment.id}"),
            ],
        )
        runs_of_it = runs_listing(runs)
        columns, rows = runs_of_it.columns[1:], [row[1:] for row in runs_of_it.rows]
        print_listing(replace(runs_of_it, columns=columns, rows=rows, grouped=False))
        if evaluations:
            print_listing(evaluations_listing(evaluations))
        for job in (*runs, *evaluations):
            _print_detail(job, named=True)

    return About({"experiment": experiment, "runs": runs, "evaluations": evaluations}, show)


def _run(client: GauntletClient, run: Run) -> About:
    epochs = list(client.metrics(run.id))
    events = list(client.events(run.id))
    checkpoints = list(client.checkpoints(run.id))[::-1]
    evaluations = list(client.evaluations(run=run.id))[::-1]

    def show() -> None:
        print_card(
            run.id,
            [
                _id("experiment", run.experiment),
                _text("objective", f"{objective_title(run.objective)}, seed {run.seed}"),
                _text("owner", run.owner),
                *_job(run),
                _text("epochs", f"{len(epochs)} of {run.spec.training.epochs}"),
                _text("last epoch", _metrics(epochs[-1].metrics) if epochs else None),
                _text("asked for", _stated(run.spec)),
            ],
        )
        _print_detail(run)
        for listing, found in (
            (events_listing(events), events),
            (checkpoints_listing(checkpoints), checkpoints),
            (evaluations_listing(evaluations), evaluations),
        ):
            if found:
                print_listing(listing)

    has: dict[str, Value] = {"epochs": epochs, "events": events, "checkpoints": checkpoints, "evaluations": evaluations}
    return About({"run": run, **has}, show)


def _checkpoint(client: GauntletClient, checkpoint: Checkpoint) -> About:
    evaluations = list(client.evaluations(checkpoint=checkpoint.id))[::-1]
    card = checkpoint.card
    more = len(card.classes) - _MOST_CLASSES

    def show() -> None:
        normalisation = card.normalisation
        print_card(
            checkpoint.id,
            [
                _text("name", checkpoint.name),
                _text("owner", checkpoint.owner),
                _text("labels", ", ".join(checkpoint.labels)),
                _text("notes", checkpoint.notes.splitlines()),
                _text("origin", _origin(checkpoint)),
                _id("experiment", checkpoint.experiment),
                _id("run", checkpoint.run),
                _text("kept", at_time(checkpoint.created_at)),
                _text("accuracies", _metrics(checkpoint.metrics)),
                _text("architecture", card.architecture.kind),
                _text("data set", f"{dataset_title(card.dataset)}, {' × '.join(map(str, card.image_shape))}"),
                _text("classes", ", ".join(card.classes[:_MOST_CLASSES]) + (f" and {more:,} more" if more > 0 else "")),
                _text("normalisation", None if normalisation is None else ", ".join(_stated(normalisation))),
                _text("file", f"{counted(checkpoint.bytes, 'byte')}; gauntlet weights {checkpoint.id} FILE"),
                _id("sha256", checkpoint.sha256),
            ],
        )
        if evaluations:
            print_listing(evaluations_listing(evaluations))

    return About({"checkpoint": checkpoint, "evaluations": evaluations}, show)


def _evaluation(evaluation: Evaluation) -> About:
    def show() -> None:
        print_card(
            evaluation.id,
            [
                _id("checkpoint", evaluation.checkpoint),
                _text("name", evaluation.checkpoint_name),
                _text("data set", evaluation.dataset),
                _text("read", None if evaluation.data is None else list(describe(evaluation.data))),
                _id("experiment", evaluation.experiment),
                _id("run", evaluation.run),
                _text("selected as", ", ".join(map(selection_title, evaluation.selection))),
                _text("owner", evaluation.owner),
                *_job(evaluation),
                _text("helpers", str(evaluation.helpers) if evaluation.helpers else None),
                _text("attacks", [f"{a.label}: {a.status}, {a.completed} of {a.total}" for a in evaluation.attacks]),
                _text("asked for", _stated(evaluation.spec)),
                _text("pictures", [f"{file.format}: {file.bytes:,} bytes" for file in evaluation.pictures]),
            ],
        )
        _print_detail(evaluation)
        print_outcome(evaluation)

    return About({"evaluation": evaluation}, show)


def _job(job: Job) -> Iterable[Field]:
    yield _text("status", job_status(job))
    yield _text("attempts", str(job.attempt) if job.attempt > 1 else None)
    yield _text("device", job.device)
    times: tuple[tuple[str, datetime | None], ...] = (
        ("queued", job.created_at),
        ("started", job.started_at),
        ("ended", job.finished_at),
    )
    for name, moment in times:
        yield _text(name, None if moment is None else at_time(moment))


def _print_detail(job: Job, *, named: bool = False) -> None:
    """Why a job stands as it does, in full."""
    if job.status_detail:
        whose = f"{job.id}: " if named else ""
        say(f"! {whose}{job.status_detail}", style="red" if job.status == "failed" else "yellow")


def _text(heading: str, cell: str | Text | list[str] | None) -> Field:
    return Column(heading), [*cell] if isinstance(cell, list) else cell


def _id(heading: str, identifier: str | None) -> Field:
    return Column(heading, "id"), identifier


def _origin(checkpoint: Checkpoint) -> str:
    origin = checkpoint.card.origin
    if isinstance(origin, Imported):
        return f"imported{f' from {origin.source}' if origin.source else ''}"
    return f"trained, after {counted(origin.epoch, 'epoch')}{', averaged' if origin.averaged else ''}"


def _metrics(metrics: Mapping[str, float]) -> str:
    accuracies = {name.removesuffix("_accuracy"): value for name, value in metrics.items() if name.endswith("accuracy")}
    return ", ".join(f"{name.replace('_', ' ')} {per_cent(value)} %" for name, value in accuracies.items())


def _stated(spec: BaseModel) -> list[str]:
    """What a spec says beyond its defaults, a line per field, as it could be written in a file."""
    one_line: dict[str, Any] = {"default_flow_style": True, "width": 10**6, "allow_unicode": True, "sort_keys": False}
    said = _departures(spec).items()
    return [
        yaml.safe_dump({field: value}, **one_line).strip().removeprefix("{").removesuffix("}") for field, value in said
    ]


def _departures(spec: BaseModel) -> dict[str, Any]:
    """The fields that are not at their defaults, and the tags that tell the members of unions apart."""
    plain = spec.model_dump(mode="json")
    tag = tag_of(type(spec))
    return {
        name: _plain(getattr(spec, name), plain[name])
        for name, field in type(spec).model_fields.items()
        if name in plain and (getattr(spec, name) != field.default or (tag is not None and tag[0] == name))
    }


def _plain(value: Any, dumped: Any) -> Any:
    match value:
        case BaseModel():
            return _departures(value)
        case tuple():
            return [_plain(item, its_dump) for item, its_dump in zip(value, dumped, strict=True)]
        case _:
            return dumped

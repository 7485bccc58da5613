"""`gauntlet submit`: an experiment of a file, of a preset, or like another one; looked at, or queued."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.connection import open_client
from cli.documents import read, read_spec, told_where_it_stands
from cli.identifiers import SomeLikeId
from cli.jobs.checking import lines_of
from cli.jobs.following import follow
from cli.jobs.watched import duration
from cli.json_output import AsJson, print_json
from cli.terminal import FAILED, MISUSED, give_up, say, tell_id
from gauntlet.report.numbers import counted
from gauntlet.resources import Check
from gauntlet.spec.asked.requests import ExperimentRequest
from gauntlet.spec.reading.files import SpecFile
from gauntlet.spec.sweeps import in_words

_GIBIBYTE = 1 << 30


def submit(
    spec: Annotated[
        str | None,
        typer.Argument(metavar="[SPEC]", help="A YAML or JSON file, or the name of a preset; with --like the changes."),
    ] = None,
    *,
    like: SomeLikeId = None,
    validate: Annotated[
        bool, typer.Option("--validate", help="Only tell what it would come to: faults, runs, time and disk.")
    ] = False,
    label: Annotated[list[str], typer.Option(help="A short text to find it by; may be repeated.")] = [],  # noqa: B006  # the library copies it
    notes: Annotated[str | None, typer.Option(help="Anything worth knowing of it.")] = None,
    priority: Annotated[str | None, typer.Option(help="high, normal or low: when its turn comes.")] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Stay and show the progress, then the report.")] = False,
    json: AsJson = False,
) -> None:
    """Queue an experiment."""
    file, within = _asked_for(spec, like)
    fields: dict[str, Any] = {"like": like, "changes": file.fields} if like else dict(file.fields)
    fields |= {"labels": [*fields.get("labels", ()), *label]} if label else {}
    fields |= {} if notes is None else {"notes": notes}
    fields |= {} if priority is None else {"priority": priority}
    with open_client() as client:
        if validate:
            _tell(client.validate(fields), file, within, as_json=json)
            return
        with told_where_it_stands(file, within):
            experiment = client.submit(fields)
        if not json:
            tell_id(experiment.id)
        elif not watch:
            print_json(experiment)
        if watch:
            follow(client, experiment.id, as_json=json)


def _asked_for(spec: str | None, like: str | None) -> tuple[SpecFile, str]:
    """What was written, and where in the request it stands."""
    if like is None:
        if spec is None:
            give_up("What is to be submitted? Name a SPEC, or an experiment that it is like (--like).", MISUSED)
        return read_spec(spec), ""
    return SpecFile(Path("--like"), {}, {}) if spec is None else read(Path(spec), ExperimentRequest), "/changes"


def _tell(found: Check, file: SpecFile, within: str, *, as_json: bool) -> None:
    if as_json:
        print_json(found)
    else:
        for line in (*lines_of(found, file, within), *_what_it_takes(found)):
            say(line)
    if found.faults:
        raise typer.Exit(FAILED)


def _what_it_takes(found: Check) -> Iterator[str]:
    if found.runs:
        trials = dict.fromkeys(in_words(run.values) for run in found.runs if run.values)
        yield f"Runs: {len(found.runs)}" + (f", of {len(trials)} trials." if trials else ".")
        yield from (f"  {trial}" for trial in trials)
        yield from _what_they_use(found)
    for estimate in found.estimates:
        times = (("training", estimate.training_seconds), ("attacks", estimate.evaluation_seconds))
        told = [f"{what} {duration(seconds)}" for what, seconds in times if seconds is not None]
        if told:
            yield f"On {estimate.device}, one job after the other: {', '.join(told)}."
    if found.checkpoint_bytes is not None:
        yield f"Checkpoints: {found.checkpoint_bytes / _GIBIBYTE:.2g} GiB."


def _what_they_use(found: Check) -> Iterator[str]:
    """How many images of how many each run is trained, validated and attacked on; of a sweep from the fewest on."""
    data = found.dataset
    if data is None or data.train is None or data.test is None:
        return
    train, validation, test = (
        _span([count for count in counts if count is not None])
        for counts in zip(
            *((run.train_images, run.validation_images, run.test_images) for run in found.runs), strict=True
        )
    )
    # An earlier service does not tell.
    if train is None or test is None:
        return
    beside = f", with {validation} held out for validation" if validation not in {None, "0"} else ""
    yield (
        f"Each is trained on {_share(train, data.train.images, 'image')}{beside}, "
        f"and attacked on {_share(test, data.test.images, 'test image')}."
    )


def _share(used: str, there: int, noun: str) -> str:
    """Such as `200 of 1,437 images`, or `all 1,437 images`."""
    return f"{'all' if used == f'{there:,}' else f'{used} of'} {counted(there, noun)}"


def _span(counts: Sequence[int]) -> str | None:
    """Such as `200` or, where they differ, `100 to 200`; None of none."""
    if not counts:
        return None
    few, many = min(counts), max(counts)
    return f"{few:,}" if few == many else f"{few:,} to {many:,}"

"""`gauntlet reproduce`: a preset's experiment, and whether it came to the published numbers."""

import hashlib
from typing import Annotated, Final

import typer

from cli.connection import open_client
from cli.jobs.following import stay
from cli.json_output import AsJson, print_json
from cli.shown.listings import Cell, Column, Listing, print_listing
from cli.terminal import FAILED, MISUSED, console, errors, give_up, say
from gauntlet.client import GauntletClient
from gauntlet.report.compared.reproduction import Judged, judge
from gauntlet.report.numbers import NOTHING, per_cent, points, selection_title
from gauntlet.resources import Experiment
from gauntlet.spec.experiment import ExperimentSpec
from gauntlet.spec.presets import DESCRIPTIONS
from gauntlet.spec.reproductions import REPRODUCTIONS
from gauntlet.spec.runs.objective_labels import objective_title

_COLUMNS: Final = [
    Column("accuracy"),
    *(Column(name, "number") for name in ("published", "ours", "difference", "allowed")),
    Column("verdict"),
]


def reproduce(
    preset: Annotated[
        str | None, typer.Argument(metavar="[PRESET]", help="Which; without one, what there is to reproduce.")
    ] = None,
    *,
    now: Annotated[bool, typer.Option("--now", help="Do not wait: judge what has been measured.")] = False,
    json: AsJson = False,
) -> None:
    """Train and attack a preset, and judge each published number: pass or fail. Called again, it goes on where it was.

    Exit status 0 if every number is within its tolerance, 1 if one is not, or is not measured.
    """
    if preset is None:
        _list(as_json=json)
        return
    if preset not in REPRODUCTIONS:
        give_up(f"There is nothing to reproduce by the name {preset}; there is {', '.join(REPRODUCTIONS)}.", MISUSED)
    with open_client() as client:
        experiment = submitted(client, preset)
        if not json:
            _introduce(preset, experiment)
        if not now:
            stay(client, experiment.id, errors if json else console)
        judged = judge(client.report(experiment.id), REPRODUCTIONS[preset])
    if json:
        print_json(judged)
    else:
        print_listing(Listing(_COLUMNS, [_line(each) for each in judged], f"{preset} ({experiment.id})"))
    if any(each.verdict != "pass" for each in judged):
        raise typer.Exit(FAILED)


def submitted(client: GauntletClient, preset: str) -> Experiment:
    """The preset's experiment, submitted now or by an earlier call; a preset that changed since is another one."""
    spec = ExperimentSpec.model_validate({"preset": preset}).model_dump(mode="json")
    digest = hashlib.sha256(repr(spec).encode()).hexdigest()[:16]
    return client.submit(spec | {"labels": ["reproduce"]}, idempotency_key=f"reproduce-{preset}-{digest}")


def _introduce(preset: str, experiment: Experiment) -> None:
    told = REPRODUCTIONS[preset]
    say(f"{DESCRIPTIONS[preset]} Its experiment is {experiment.id}, {experiment.status}.")
    say(told.cost)
    for departure in told.departures:
        say(f"Not as published: {departure}")


def _list(*, as_json: bool) -> None:
    if as_json:
        print_json(dict(REPRODUCTIONS))
        return
    columns = [Column("preset"), Column("accuracy"), Column("published", "number"), Column("source")]
    lines: list[list[Cell]] = [
        [name, _accuracy(claim.objective, claim.selection, claim.accuracy), per_cent(claim.value), claim.source]
        for name, told in REPRODUCTIONS.items()
        for claim in told.claims
    ]
    print_listing(Listing(columns, lines, "What can be reproduced"))
    for name, told in REPRODUCTIONS.items():
        say(f"{name}: {told.cost}")


def _line(judged: Judged) -> list[Cell]:
    claim = judged.claim
    return [
        _accuracy(claim.objective, claim.selection, claim.accuracy),
        per_cent(claim.value),
        per_cent(judged.ours),
        NOTHING if judged.ours is None else points(judged.ours - claim.value),
        f"{100 * claim.tolerance:.1f}",
        judged.verdict,
    ]


def _accuracy(objective: str, selection: str, accuracy: str) -> str:
    return f"{objective_title(objective)}, {selection_title(selection)}: {accuracy}"

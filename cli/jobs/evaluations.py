"""The commands that attack checkpoints and compare them."""

from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.console import Console

from cli.connection import by_option, open_client, refusals_told
from cli.identifiers import CheckpointId, CheckpointIds, ExperimentId, SomeCheckpointId
from cli.jobs.watching import watch_evaluations
from cli.json_output import AsJson, print_json
from cli.shown.evaluation_tables import evaluations_listing, leaderboard_listing, print_outcome, transfer_listing
from cli.shown.filters import Statuses
from cli.shown.listings import print_listing
from cli.terminal import INTERRUPTED, UNANSWERED, console, errors, give_up, say, tell_id
from gauntlet.checks.names import counted
from gauntlet.client import GauntletClient, GauntletClientError
from gauntlet.report.report import Report
from gauntlet.resources import Evaluation
from gauntlet.spec.evaluations.protocols import NEWEST

Samples = Annotated[int, typer.Option(help="How many of the first test images.")]
BatchSize = Annotated[int, typer.Option(help="Images attacked at once.")]
Seed = Annotated[int, typer.Option(help="Where random numbers start from.")]
Norm = Annotated[str, typer.Option(help="Linf or L2.")]
Watch = Annotated[bool, typer.Option("--watch", help="Stay and show the progress, then the result.")]


def evaluate(
    checkpoint: CheckpointId,
    *,
    attack: Annotated[
        list[str],
        typer.Option(
            help="fast or screen, protocols much cheaper than autoattack; or that, fgsm, pgd, apgd-ce, apgd-t, fab-t, "
            "square, mm, pma, multitargeted or noise, with its defaults; may be repeated."
        ),
    ],
    eps: Annotated[list[str], typer.Option(help="A budget such as 8/255; may be repeated.")],
    norm: Norm = "Linf",
    samples: Samples = 1_000,
    batch_size: BatchSize = 100,
    seed: Seed = 0,
    eot: Annotated[
        int | None, typer.Option(help="Draws that each look at a model that answers at random is the mean of.")
    ] = None,
    corruptions: Annotated[
        bool, typer.Option("--corruptions", help="Also on noise, blur, fog and the like, at five severities.")
    ] = False,
    smoothing: Annotated[
        float | None,
        typer.Option(help="Also certify the model, smoothed with noise of this deviation, under L2."),
    ] = None,
    priority: Annotated[str | None, typer.Option(help="high, normal or low: when its turn comes.")] = None,
    keep_images: Annotated[
        int, typer.Option(help="Keep the attacked pictures of so many images, for `gauntlet pictures`.")
    ] = 0,
    watch: Watch = False,
    json: AsJson = False,
) -> None:
    """Attack a checkpoint: every attack with every budget."""
    draws = {} if eot is None else {"eot": eot}
    attacks = [{"kind": kind, "eps": eps, "norm": norm, **NEWEST.get(kind, {}), **draws} for kind in attack]
    request: dict[str, Any] = {"attacks": attacks, "samples": samples, "batch_size": batch_size, "seed": seed}
    request |= {"corruptions": {}} if corruptions else {}
    request |= {"smoothing": {"sigma": smoothing}} if smoothing is not None else {}
    request |= {} if priority is None else {"priority": priority}
    request |= {"keep_images": keep_images} if keep_images else {}
    with open_client() as client:
        with refusals_told(by_option):
            evaluation = client.evaluate({"checkpoint": checkpoint} | request)
        _tell(client, [evaluation], watch=watch, as_json=json)


def extend(
    experiment: ExperimentId,
    samples: Annotated[int, typer.Argument(metavar="SAMPLES", help="How many of the first test images.")],
    *,
    watch: Watch = False,
    json: AsJson = False,
) -> None:
    """Attack an experiment's checkpoints on more images; full batches that were attacked are not attacked again."""
    with open_client() as client:
        with refusals_told(by_option):
            _require_more(client.report(experiment), samples)
            queued = [
                client.evaluate(
                    evaluation.spec.model_dump(mode="json") | {"checkpoint": evaluation.checkpoint, "samples": samples}
                )
                for evaluation in client.evaluations(experiment=experiment)
                if evaluation.status == "succeeded"
            ]
        _tell(client, queued, watch=watch, as_json=json)


def _require_more(report: Report, samples: int) -> None:
    """End the command where evaluations on so many images would leave the report as it is."""
    if not report.rows:
        give_up("Nothing of this experiment has been measured yet, so there is nothing to extend.")
    measured = max(row.n for row in report.rows)
    if measured < report.spec.evaluation.samples:
        give_up(f"The report is on all {counted(measured, 'test image')} that there are.")
    if samples <= measured:
        give_up(f"SAMPLES: The report is on {counted(measured, 'test image')} already; ask for more of them.")


def evaluations(
    checkpoint: SomeCheckpointId = None,
    *,
    status: Statuses = [],  # noqa: B006  # the library copies it
    json: AsJson = False,
) -> None:
    """List the evaluations, the newest first."""
    with open_client() as client, refusals_told(by_option):
        found = client.evaluations(checkpoint=checkpoint, status=status)
        if json:
            print_json(found)
        else:
            print_listing(evaluations_listing(found))


def leaderboard(
    *,
    attack: Annotated[str | None, typer.Option(help="Only attacks of this kind.")] = None,
    dataset: Annotated[str | None, typer.Option(help="Only this data set.")] = None,
    limit: Annotated[int, typer.Option(help="How many places a list has at most.")] = 20,
    json: AsJson = False,
) -> None:
    """Rank the checkpoints by robust accuracy, one list for each way it was measured."""
    with open_client() as client:
        with refusals_told(by_option):
            found = client.leaderboard(attack=attack, dataset=dataset, limit=limit)
        if json:
            print_json(found)
        else:
            print_listing(leaderboard_listing(found))


def transfer(
    checkpoints: CheckpointIds,
    *,
    eps: Annotated[str, typer.Option(help="The budget.")] = "8/255",
    norm: Norm = "Linf",
    steps: Annotated[int, typer.Option(help="Steps of the PGD that makes the examples.")] = 50,
    loss: Annotated[str, typer.Option(help="What it ascends: cross_entropy or margin.")] = "cross_entropy",
    samples: Samples = 1_000,
    batch_size: BatchSize = 100,
    seed: Seed = 0,
    show: Annotated[bool, typer.Option("--show", help="Queue nothing; show what has been measured.")] = False,
    watch: Watch = False,
    json: AsJson = False,
) -> None:
    """Attack each checkpoint with the examples made on each of them."""
    attack: dict[str, Any] = {"eps": eps, "norm": norm, "steps": steps, "loss": loss}
    with open_client() as client, refusals_told(by_option):
        if not show:
            request = {"checkpoints": checkpoints, "samples": samples, "batch_size": batch_size, "seed": seed}
            queued = client.transfer(request | attack)
            if json and not watch:
                print_json(queued)
                return
            for evaluation in queued if not json else ():
                tell_id(evaluation.id)
            if watch:
                ended = _await(client, [evaluation.id for evaluation in queued], errors if json else console)
                _require_success(ended)
        if show or watch:
            matrix = client.transfers(checkpoints, **attack)
            if json:
                print_json(matrix)
            else:
                print_listing(transfer_listing(matrix))


def _tell(client: GauntletClient, queued: Sequence[Evaluation], *, watch: bool, as_json: bool) -> None:
    """Their ids, or with `watch` what they find; as JSON the evaluations, which have then ended."""
    if not as_json:
        for evaluation in queued:
            tell_id(evaluation.id)
    elif not watch or not queued:
        print_json(queued)
    if watch and queued:
        follow(client, [evaluation.id for evaluation in queued], as_json=as_json)


def follow(client: GauntletClient, identifiers: Sequence[str], *, as_json: bool = False) -> None:
    """Show the evaluations until they end, then what each found; one that did not succeed ends the command."""
    ended = _await(client, identifiers, errors if as_json else console)
    if as_json:
        print_json(ended)
    for evaluation in ended if not as_json else ():
        if len(identifiers) > 1:
            say(f"{evaluation.id}: {evaluation.checkpoint_name}")
        print_outcome(evaluation)
    _require_success(ended)


def _await(client: GauntletClient, identifiers: Sequence[str], to: Console) -> list[Evaluation]:
    again = f"gauntlet watch {' '.join(identifiers)} returns to it"
    try:
        return watch_evaluations(client, identifiers, to)
    except KeyboardInterrupt:
        say(f"It goes on. {again}, gauntlet cancel ID ends one.", to)
        raise typer.Exit(INTERRUPTED) from None
    except GauntletClientError as error:
        if not error.may_pass:
            raise
        give_up(f"{error}\nIt may go on without it: {again}.", UNANSWERED)


def _require_success(ended: Sequence[Evaluation]) -> None:
    for evaluation in ended:
        if evaluation.status != "succeeded":
            reason = evaluation.status_detail or evaluation.status_reason or "no reason is known"
            give_up(f"{evaluation.id} {evaluation.status}: {reason}")

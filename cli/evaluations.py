"""The commands that attack checkpoints and compare them."""

from typing import Annotated, Any

import typer

from cli.connection import console, give_up, open_client
from cli.evaluation_tables import evaluations_table, leaderboard_tables, outcome_table, transfer_table
from cli.watching import watch_evaluations
from client import GauntletClient
from gauntlet.resources import Evaluation

CheckpointIds = Annotated[list[str], typer.Argument(metavar="CHECKPOINT...", help="Two checkpoints or more.")]
Samples = Annotated[int, typer.Option(help="How many of the first test images.")]
BatchSize = Annotated[int, typer.Option(help="Images attacked at once.")]
Seed = Annotated[int, typer.Option(help="Where random numbers start from.")]
Norm = Annotated[str, typer.Option(help="Linf or L2.")]
Watch = Annotated[bool, typer.Option("--watch", help="Stay and show the progress, then the result.")]


def evaluate(
    checkpoint: Annotated[str, typer.Argument(metavar="CHECKPOINT", help="The checkpoint's id.")],
    *,
    attack: Annotated[
        list[str],
        typer.Option(
            help="fgsm, pgd, apgd-ce, apgd-t, fab-t, square, autoattack or noise, with its defaults; may be repeated."
        ),
    ],
    eps: Annotated[list[str], typer.Option(help="A budget such as 8/255; may be repeated.")],
    norm: Norm = "Linf",
    samples: Samples = 1_000,
    batch_size: BatchSize = 100,
    seed: Seed = 0,
    watch: Watch = False,
) -> None:
    """Attack a checkpoint: every attack with every budget."""
    attacks = [{"kind": kind, "eps": eps, "norm": norm} for kind in attack]
    with open_client() as client:
        request = {"attacks": attacks, "samples": samples, "batch_size": batch_size, "seed": seed}
        evaluation = client.evaluate({"checkpoint": checkpoint} | request)
        console.print(evaluation.id, highlight=False)
        if watch:
            (ended,) = _follow(client, [evaluation])
            if ended.outcome is not None:
                console.print(outcome_table(ended.outcome))


def extend(
    experiment: Annotated[str, typer.Argument(metavar="EXPERIMENT", help="The experiment's id.")],
    samples: Annotated[int, typer.Argument(metavar="SAMPLES", help="How many of the first test images.")],
    *,
    watch: Watch = False,
) -> None:
    """Attack an experiment's checkpoints on more images; full batches that were attacked are not attacked again."""
    with open_client() as client:
        queued = [
            client.evaluate(
                evaluation.spec.model_dump(mode="json") | {"checkpoint": evaluation.checkpoint, "samples": samples}
            )
            for evaluation in client.evaluations(experiment=experiment)
            if evaluation.status == "succeeded"
        ]
        for evaluation in queued:
            console.print(evaluation.id, highlight=False)
        if watch and queued:
            _follow(client, queued)


def evaluations(
    checkpoint: Annotated[
        str | None, typer.Argument(metavar="[CHECKPOINT]", help="Only this checkpoint's evaluations.")
    ] = None,
) -> None:
    """List the evaluations."""
    with open_client() as client:
        console.print(evaluations_table(client.evaluations(checkpoint=checkpoint)))


def leaderboard(
    *,
    attack: Annotated[str | None, typer.Option(help="Only attacks of this kind.")] = None,
    dataset: Annotated[str | None, typer.Option(help="Only this data set.")] = None,
    limit: Annotated[int, typer.Option(help="How many places a list has at most.")] = 20,
) -> None:
    """Rank the checkpoints by robust accuracy, one list for each way it was measured."""
    with open_client() as client:
        for table in leaderboard_tables(client.leaderboard(attack=attack, dataset=dataset, limit=limit)):
            console.print(table)


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
) -> None:
    """Attack each checkpoint with the examples made on each of them."""
    attack: dict[str, Any] = {"eps": eps, "norm": norm, "steps": steps, "loss": loss}
    with open_client() as client:
        if not show:
            request = {"checkpoints": checkpoints, "samples": samples, "batch_size": batch_size, "seed": seed}
            queued = client.transfer(request | attack)
            for evaluation in queued:
                console.print(evaluation.id, highlight=False)
            if watch:
                _follow(client, queued)
        if show or watch:
            console.print(transfer_table(client.transfers(checkpoints, **attack)))


def _follow(client: GauntletClient, queued: list[Evaluation]) -> list[Evaluation]:
    try:
        ended = watch_evaluations(client, [evaluation.id for evaluation in queued], console)
    except KeyboardInterrupt:
        console.print("It goes on. gauntlet evaluations shows how far it is, gauntlet cancel ID ends one.")
        raise typer.Exit(130) from None
    for evaluation in ended:
        if evaluation.status != "succeeded":
            reason = evaluation.status_detail or evaluation.status_reason or "no reason is known"
            give_up(f"{evaluation.id} {evaluation.status}: {reason}")
    return ended

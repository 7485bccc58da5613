"""The commands that write checkpoints and runs in the forms of other programs."""

import tempfile
from collections.abc import Callable, Iterator
from json import dumps as json_text
from pathlib import Path
from time import sleep
from typing import Annotated, Literal

import typer

from cli.connection import open_client
from cli.identifiers import CheckpointId, RunId
from cli.json_output import AsJson, print_plain
from cli.terminal import MISUSED, give_up, say
from gauntlet.client import GauntletClient
from gauntlet.errors import GauntletError, NotExportable
from gauntlet.exports.measured import Evaluated
from gauntlet.exports.model_card import write_hub_folder
from gauntlet.exports.robustbench import robustbench_entry, standard_autoattack
from gauntlet.resources import TERMINAL, Checkpoint, EpochMetrics
from gauntlet.results.outcome import EvaluationOutcome

_LOOK_EVERY_S = 1.0
Form = Literal["onnx", "program", "hub", "robustbench"]


def export(
    checkpoint: CheckpointId,
    place: Annotated[Path, typer.Argument(metavar="PLACE", help="The file to write; for hub the folder.")],
    *,
    form: Annotated[
        Form,
        typer.Option(
            "--as",
            help="onnx; program, which torch.export.load reads; hub, a folder in Hugging Face's layout with a model "
            "card; robustbench, an entry of its list as JSON.",
        ),
    ],
    name: Annotated[str | None, typer.Option(help="What to call the model; by default the checkpoint's name.")] = None,
    json: AsJson = False,
) -> None:
    """Write a checkpoint, or what was found of it, in another program's form.

    The last two say what the checkpoint's own evaluations found, with every doubt. onnx needs the extra of its name.
    """
    with open_client() as client:
        try:
            _write(client, client.checkpoint(checkpoint), place, form, name)
        except GauntletError as error:
            give_up(str(error))
    if json:
        print_plain({"checkpoint": checkpoint, "form": form, "place": str(place)})
    else:
        say(str(place))


def track(
    run: RunId,
    *,
    tensorboard: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write an event file into this folder.")
    ] = None,
    mlflow: Annotated[
        str | None,
        typer.Option(metavar="EXPERIMENT", help="Log to this experiment of the server at MLFLOW_TRACKING_URI."),
    ] = None,
    wandb: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Write an offline run of Weights & Biases into this folder; no account."),
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", help="Stay and write each epoch as it comes, until all ended.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Write a run's spec, epochs and evaluations for TensorBoard, MLflow or W&B, as far as they have come.

    Each needs the extra of its name.
    """
    if sum(place is not None for place in (tensorboard, mlflow, wandb)) != 1:
        give_up("Say one of --tensorboard FOLDER, --mlflow EXPERIMENT and --wandb FOLDER.", MISUSED)
    from gauntlet.exports import trackers  # with torch, for TensorBoard's writer

    with open_client() as client:
        found = client.run(run)
        epochs, outcomes = followed(client, run, follow=follow), _outcomes(client, run, follow=follow)
        try:
            if tensorboard is not None:
                trackers.write_tensorboard(tensorboard, found.spec, epochs, outcomes)
                written = {"tensorboard": str(tensorboard)}
            elif mlflow is not None:
                written = {"mlflow_run": trackers.log_to_mlflow(mlflow, run, found.spec, epochs, outcomes)}
            else:
                assert wandb is not None
                place = trackers.write_wandb(wandb, found.experiment, run, found.spec, epochs, outcomes)
                written = {"wandb": str(place)}
        except GauntletError as error:
            give_up(str(error))
    if json:
        print_plain({"run": run, **written})
    else:
        say("".join(written.values()))


def followed(
    client: GauntletClient, run: str, *, follow: bool, wait: Callable[[float], None] = sleep
) -> Iterator[EpochMetrics]:
    """The epochs that there are, and those that come until the run has ended."""
    last = 0
    while True:
        # Asked before the look, so that no epoch comes between the two.
        is_last_look = not follow or client.run(run).status in TERMINAL
        for epoch in client.metrics(run, after=last):
            last = epoch.epoch
            yield epoch
        if is_last_look:
            return
        wait(_LOOK_EVERY_S)


def _outcomes(client: GauntletClient, run: str, *, follow: bool) -> Iterator[EvaluationOutcome]:
    """Of the evaluations that are done, once all of them are."""
    while follow and any(each.status not in TERMINAL for each in client.evaluations(run=run)):
        sleep(_LOOK_EVERY_S)
    yield from (each.outcome for each in _evaluated(client, run=run))


def _write(client: GauntletClient, checkpoint: Checkpoint, place: Path, form: Form, name: str | None) -> None:
    called = name or checkpoint.name
    if form in ("onnx", "program"):
        _write_network(client.weights(checkpoint.id), place, form)
        return
    found = _evaluated(client, checkpoint=checkpoint.id)
    if form == "hub":
        write_hub_folder(place, client.weights(checkpoint.id), checkpoint.card, name=called, evaluated=found)
        return
    ranked = [each for each in found if standard_autoattack(each.outcome)]
    if not ranked:
        raise NotExportable(
            f"RobustBench ranks by the standard AutoAttack, and no evaluation of {checkpoint.id} that is done ran it: "
            f"`gauntlet evaluate {checkpoint.id} --attack autoattack --eps 8/255 --samples 10000` does."
        )
    entry = robustbench_entry(checkpoint.card, max(ranked, key=lambda each: each.outcome.natural.n), name=called)
    place.write_text(json_text(entry, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _write_network(weights: bytes, place: Path, form: Form) -> None:
    from gauntlet.exports.networks import save_onnx, save_program  # with torch, which no other command loads
    from gauntlet.models.checkpoints import load_model  # likewise

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.safetensors"
        file.write_bytes(weights)
        loaded = load_model(file, "cpu")
    (save_onnx if form == "onnx" else save_program)(loaded, place)


def _evaluated(client: GauntletClient, **whose: str) -> list[Evaluated]:
    """What the evaluations that are done found, the oldest first."""
    newest_first = client.evaluations(**whose, status=["succeeded"])
    found = [Evaluated(each.outcome, each.doubts) for each in newest_first if each.outcome is not None]
    return found[::-1]

"""The commands that bring models in and take them out."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.connection import open_client
from cli.documents import read, told_where_it_stands
from cli.identifiers import CheckpointId
from cli.json_output import AsJson, print_json, print_plain
from cli.terminal import errors, say, tell_id
from gauntlet.client.uploads import sendable
from gauntlet.spec.checkpoint_card import ImportCard
from gauntlet.spec.class_names import KNOWN_CLASSES
from gauntlet.spec.reading.files import SpecFile

_MOST_NAMED = 3

Architecture = Annotated[
    str | None,
    typer.Option(
        help="Its kind, such as resnet18 or torchvision/resnet50 (`gauntlet catalog` has all); further fields of one "
        "are in a --card of `gauntlet import`."
    ),
]


def weights(
    checkpoint: CheckpointId,
    out: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write the safetensors file.")],
    *,
    json: AsJson = False,
) -> None:
    """Download a checkpoint's weights."""
    with open_client() as client:
        content = client.weights(checkpoint)
        out.write_bytes(content)
        if json:
            print_plain({"checkpoint": checkpoint, "file": str(out), "bytes": len(content)})
        else:
            say(f"{out}: {len(content):,} bytes")


def import_weights(
    weights: Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="A safetensors file.")],
    *,
    card: Annotated[Path | None, typer.Option(help="A JSON or YAML file that describes the model.")] = None,
    name: Annotated[str | None, typer.Option(help="What to call it; by default the file's name.")] = None,
    source: Annotated[str | None, typer.Option(help="Where the weights come from.")] = None,
    architecture: Architecture = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            help="digits, cifar10 or another of known classes, or a folder of images, whose classes need a --card."
        ),
    ] = None,
    mean: Annotated[
        str | None, typer.Option(help="What it subtracts from images in [0, 1], for each channel: 0.49,0.48,0.45.")
    ] = None,
    std: Annotated[str | None, typer.Option(help="What it divides them by then.")] = None,
    json: AsJson = False,
) -> None:
    """Import a model trained elsewhere; an option overrides what the card says."""
    said = {
        "name": name,
        "source": source,
        "architecture": None if architecture is None else architecture_fields(architecture),
        "dataset": None if dataset is None else _dataset(dataset),
        "normalisation": _normalisation(mean, std),
    }
    given = {field: value for field, value in said.items() if value is not None}
    file = SpecFile(weights, {}, {}) if card is None else read(card, ImportCard)
    with open_client() as client:
        with told_where_it_stands(file, within="/card", others={"/weights": weights}):
            imported = client.import_checkpoint(weights, {"name": sendable(weights.stem)} | file.fields | given)
        if json:
            print_json(imported)
            return
        tell_id(imported.id)
        for line in what_became_of_names(imported.renamed, imported.left_out):
            say(line, errors)
        for finding in imported.findings:
            say(finding.message, errors, "yellow")


def architecture_fields(named: str) -> dict[str, Any]:
    """What a spec says for a network's kind, or for torchvision's of a name: `torchvision/resnet50`."""
    kind, slash, name = named.partition("/")
    return {"kind": kind} | ({"name": name} if slash else {})


def what_became_of_names(renamed: Mapping[str, str], left_out: Mapping[str, str]) -> list[str]:
    """Lines for tensors that are called otherwise here, the file's name → ours, and for what is left out, with why."""
    lines = [f"Renamed: {_counted([f'{theirs} to {ours}' for theirs, ours in renamed.items()])}"] if renamed else []
    return lines + [
        f"Left out, {what}: {_counted([name for name, why in left_out.items() if why == what])}"
        for what in dict.fromkeys(left_out.values())
    ]


def _counted(names: list[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return f"{', '.join(names[:_MOST_NAMED])}{more}."


def _normalisation(mean: str | None, std: str | None) -> dict[str, list[float]] | None:
    if mean is None and std is None:
        return None
    if mean is None or std is None:
        raise typer.BadParameter("A normalisation has both, --mean and --std.")
    return {"mean": _numbers(mean, "--mean"), "std": _numbers(std, "--std")}


def _numbers(text: str, option: str) -> list[float]:
    try:
        return [float(number) for number in text.split(",")]
    except ValueError:
        raise typer.BadParameter("It takes numbers with commas between them.", param_hint=option) from None


def _dataset(name: str) -> dict[str, Any]:
    return {"name": name} if name in KNOWN_CLASSES else {"name": "image_folder", "folder": name}

"""The commands that bring models in and take them out."""

from pathlib import Path
from typing import Annotated, Any

import typer

from cli.connection import open_client
from cli.documents import read, told_where_it_stands
from cli.identifiers import CheckpointId
from cli.json_output import AsJson, print_json, print_plain
from cli.terminal import errors, say, tell_id
from gauntlet.spec.checkpoint_card import ImportCard
from gauntlet.spec.class_names import KNOWN_CLASSES
from gauntlet.spec.files import SpecFile


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
    architecture: Annotated[
        str | None,
        typer.Option(
            help="Its kind, such as resnet18 (`gauntlet catalog` has all); the fields of one are in a --card."
        ),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            help="digits, cifar10 or another of known classes, or a folder of images, whose classes need a --card."
        ),
    ] = None,
    json: AsJson = False,
) -> None:
    """Import a model trained elsewhere; an option overrides what the card says."""
    said = {
        "name": name,
        "source": source,
        "architecture": None if architecture is None else {"kind": architecture},
        "dataset": None if dataset is None else _dataset(dataset),
    }
    given = {field: value for field, value in said.items() if value is not None}
    file = SpecFile(weights, {}, {}) if card is None else read(card, ImportCard)
    with open_client() as client:
        with told_where_it_stands(file, within="/card", others={"/weights": weights}):
            imported = client.import_checkpoint(weights, {"name": weights.stem} | file.fields | given)
        if json:
            print_json(imported)
            return
        tell_id(imported.id)
        for finding in imported.findings:
            say(finding.message, errors, "yellow")


def _dataset(name: str) -> dict[str, Any]:
    return {"name": name} if name in KNOWN_CLASSES else {"name": "image_folder", "folder": name}

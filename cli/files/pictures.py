"""`gauntlet classify`: what checkpoints take pictures for, and what of them an attack leaves."""

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.connection import open_client, refusals_told
from cli.identifiers import CheckpointOptions
from cli.json_output import AsJson, print_json
from cli.shown.listings import print_listing
from cli.shown.tables import attacks_listing, classifications_listing
from cli.terminal import say
from gauntlet.resources import Classification


def classify(
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", exists=True, dir_okay=False)],
    checkpoint: CheckpointOptions,
    *,
    attack: Annotated[
        str | None, typer.Option(help="Attack them too: fgsm, pgd, or noise as the control; needs --eps.")
    ] = None,
    eps: Annotated[list[str], typer.Option(help="A budget such as 8/255; may be repeated.")] = [],  # noqa: B006  # the library copies it
    norm: Annotated[str | None, typer.Option(help="Linf or L2.")] = None,
    label: Annotated[
        str | None, typer.Option(help="The class they are of; without it, what each is taken for before.")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Steps of PGD.")] = None,
    restarts: Annotated[int | None, typer.Option(help="Restarts of PGD.")] = None,
    loss: Annotated[str | None, typer.Option(help="What PGD ascends: cross_entropy or margin.")] = None,
    draws: Annotated[int | None, typer.Option(help="Draws of noise.")] = None,
    pictures: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Write the natural and the attacked pictures there.", file_okay=False),
    ] = None,
    json: AsJson = False,
) -> None:
    """Classify images with one or more checkpoints; they are fitted to its size as its training images were."""
    of_attack = {
        "norm": norm,
        "label": label,
        "steps": steps,
        "restarts": restarts,
        "loss": loss,
        "draws": draws,
        "pictures": None if pictures is None else True,
    }
    given: dict[str, Any] = {name: value for name, value in of_attack.items() if value is not None}
    if attack is None and (given or eps):
        raise typer.BadParameter("--eps and what else tells how to attack need an --attack.")
    asked = None if attack is None else {"kind": attack, "eps": eps} | given

    def tell(pointer: str, message: str) -> str:
        field, _, within = pointer.removeprefix("/").partition("/")
        if field == "image" and within.isdecimal():
            return f"{images[int(within)]}: {message}"
        named = within.partition("/")[0] if field == "attack" else field
        return f"--{'attack' if named in ('', 'kind') else named}: {message}"

    with open_client() as client:
        with refusals_told(tell):
            seen = client.classify(images, checkpoint, attack=asked)
        if pictures is not None:
            _write(seen, pictures)
        if json:
            print_json(seen)
            return
        print_listing(classifications_listing(seen))
        if asked is not None:
            print_listing(attacks_listing(seen))
        if pictures is not None:
            say(f"The pictures are in {pictures}.")


def _write(seen: Sequence[Classification], folder: Path) -> None:
    """The pictures, numbered by image in the order given, since two files may have one name."""
    folder.mkdir(parents=True, exist_ok=True)
    number: dict[str, int] = {}
    for item in seen:
        # Each checkpoint sees all the images in their order.
        number[item.checkpoint] = number.get(item.checkpoint, 0) + 1
        if item.attack is None:
            continue
        stem = f"{number[item.checkpoint]:02d}-{Path(item.image).stem}-{item.checkpoint}"
        named = {"natural": item.attack.picture} | {
            budget.eps.replace("/", "_"): budget.picture for budget in item.attack.budgets
        }
        for name, picture in named.items():
            if picture is not None:
                (folder / f"{stem}-{name}.png").write_bytes(base64.b64decode(picture))

"""`gauntlet convert`: weights that another program wrote become a safetensors file that can be imported."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import TypeAdapter, ValidationError

from cli.files.checkpoints import Architecture, architecture_fields, what_became_of_names
from cli.json_output import AsJson, print_plain
from cli.terminal import give_up, inaccessible, say
from gauntlet.errors import CheckpointInvalid, ModelUnfit
from gauntlet.report.numbers import counted
from gauntlet.spec.runs.architectures import ArchitectureSpec, Torchvision

if TYPE_CHECKING:
    from gauntlet.models.conversion import Conversion


def convert(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", exists=True, dir_okay=False, help="What torch.save wrote, or a safetensors file."
        ),
    ],
    *,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="The safetensors file to write.")],
    architecture: Architecture = None,
    part: Annotated[
        str | None,
        typer.Option(help="Where in the file the weights are, such as state_dict, where several networks are in it."),
    ] = None,
    json: AsJson = False,
) -> None:
    """Make a safetensors file of a model trained elsewhere, on this machine. Nothing in the file is run.

    Its tensors are renamed as the network has them here, and what it does not compute with is left out.
    """
    # Here, so that no other command waits for torch.
    from gauntlet.models.conversion import convert as converted

    if out.exists() and out.samefile(file):
        give_up("The file to write is the one to read.")
    try:
        found = converted(file, _spec(architecture), part)
        out.write_bytes(found.encoded())
    except (CheckpointInvalid, ModelUnfit) as error:
        give_up(str(error))
    except OSError as error:
        give_up(inaccessible(error))
    if json:
        print_plain(_plain(found, out))
    else:
        for line in _told(found, file, out):
            say(line)


def _spec(architecture: str | None) -> ArchitectureSpec | None:
    if architecture is None:
        return None
    try:
        return TypeAdapter[ArchitectureSpec](ArchitectureSpec).validate_python(architecture_fields(architecture))
    except ValidationError:
        raise typer.BadParameter(
            f"There is no network {architecture}; `gauntlet catalog architecture` has all.", param_hint="--architecture"
        ) from None


def _named(architecture: ArchitectureSpec) -> str:
    name = f"/{architecture.name}" if isinstance(architecture, Torchvision) else ""
    return f"{architecture.kind}{name}"


def _plain(found: "Conversion", out: Path) -> dict[str, Any]:
    said = found.weights.normalisation
    return {
        "file": str(out),
        "bytes": out.stat().st_size,
        "architecture": found.architecture.model_dump(mode="json"),
        "channels": found.image_shape[0],
        "classes": found.classes,
        "part": found.part,
        "beside": found.beside,
        "renamed": found.weights.names.renamed,
        "left_out": found.weights.names.idle,
        "normalisation": None if said is None else said.model_dump(mode="json"),
    }


def _told(found: "Conversion", file: Path, out: Path) -> list[str]:
    """What became of the file, and how the result is imported."""
    names, said = found.weights.names, found.weights.normalisation
    classes = f"{found.classes} classes of images with {counted(found.image_shape[0], 'channel')}"
    lines = [f"{file}: a {_named(found.architecture)} for {classes}"]
    if found.part:
        lines.append(f"Its tensors are at {found.part}.")
    if found.beside:
        lines.append(f"Beside them, and not taken: {', '.join(found.beside)}.")
    lines += what_became_of_names(names.renamed, names.idle)
    command = ["gauntlet", "import", str(out), "--architecture", _named(found.architecture), "--dataset", "DATASET"]
    if said is not None:
        mean, std = (",".join(f"{value:.6g}" for value in values) for values in (said.mean, said.std))
        lines.append(f"It normalises its input with mean {mean} and std {std}.")
        command += ["--mean", mean, "--std", std]
    else:
        lines.append("If it normalises its input, say so with --mean and --std: the file does not tell.")
    return [*lines, f"{out}: {out.stat().st_size:,} bytes", f"Import it with: {shlex.join(command)}"]

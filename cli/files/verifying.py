"""The commands that bring out an evaluation's attacked pictures, and check such a file without any attack's code."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.connection import by_option, open_client, refusals_told
from cli.identifiers import EvaluationId
from cli.json_output import AsJson, print_plain
from cli.terminal import FAILED, console, errors, give_up, say
from gauntlet.errors import CheckpointInvalid, ModelUnfit, PicturesInvalid
from gauntlet.resources import PictureForm

if TYPE_CHECKING:
    from gauntlet.evaluation.verification import Verified

_MOST_NAMED = 5


def pictures(
    evaluation: EvaluationId,
    out: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write it.")],
    *,
    format: Annotated[
        PictureForm, typer.Option(help="npz has the pictures exactly, for `gauntlet verify`; png is a zip to look at.")
    ] = "npz",
    json: AsJson = False,
) -> None:
    """Download the attacked pictures that an evaluation kept (`gauntlet evaluate --keep-images`)."""
    with open_client() as client, refusals_told(by_option):
        content = client.pictures(evaluation, format)
        out.write_bytes(content)
    if json:
        print_plain({"evaluation": evaluation, "file": str(out), "bytes": len(content)})
    else:
        say(f"{out}: {len(content):,} bytes")


def verify(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="The .npz of `gauntlet pictures`.")
    ],
    *,
    weights: Annotated[
        Path,
        typer.Option(exists=True, dir_okay=False, help="The checkpoint's safetensors file, of `gauntlet weights`."),
    ],
    json: AsJson = False,
) -> None:
    """Check attacked pictures against weights, on this machine and without any attack's code.

    Every picture must lie within its budget of its original and inside [0, 1], and be taken for the class that is said.
    The exit status is 1 if one is not.
    """
    # Here, so that no other command waits for torch.
    import torch

    from gauntlet.evaluation.kept_pictures import read_kept
    from gauntlet.evaluation.verification import verify as verified
    from gauntlet.models.checkpoints import load_model

    try:
        kept, model = read_kept(file), load_model(weights, torch.device("cpu")).model
        found = list(verified(kept, model))
        same = hashlib.sha256(weights.read_bytes()).hexdigest() == kept.about.get("weights_sha256")
    except (PicturesInvalid, CheckpointInvalid, ModelUnfit) as error:
        give_up(str(error))
    except OSError as error:
        give_up(f"{error.filename or 'A file'} cannot be read: {error.strerror or error}.")
    if json:
        attacks = [{**vars(each), "holds": each.holds} for each in found]
        print_plain({"file": str(file), "same_weights": same, "attacks": attacks})
    else:
        for each in found:
            _tell(each)
        if not same:
            say("The weights are not the file that was attacked: it has another sha256.", errors, "yellow")
    if not all(each.holds for each in found):
        raise typer.Exit(FAILED)


def _tell(found: "Verified") -> None:
    """A line that says what is right, and one for each thing that is not."""
    far = "" if found.distance == 0 else f", at most {found.distance:.6g} away"
    right = f"{found.right} of {found.images} classified correctly"
    if found.holds:
        say(f"{found.label}: {right}, as said{far}.")
    else:
        say(f"{found.label}: NOT as said: {right}, {found.said_right} by the file{far}.", console, "red")
    for positions, what in (
        (found.beyond, "farther from the original than the budget"),
        (found.outside, "outside [0, 1]"),
        (found.otherwise, "taken for another class than the file says"),
        (found.undecided, "between two classes, within what processors differ by"),
    ):
        if positions:
            more = f" and {len(positions) - _MOST_NAMED} more" if len(positions) > _MOST_NAMED else ""
            say(f"  {what}: image {', '.join(map(str, positions[:_MOST_NAMED]))}{more}")

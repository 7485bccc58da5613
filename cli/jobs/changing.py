"""`gauntlet change`: what stands beside a spec, and may change."""

from typing import Annotated, Any

import typer

from cli.connection import by_option, open_client, refusals_told
from cli.identifiers import AnyId, kind_of
from cli.json_output import AsJson, print_json
from cli.terminal import give_up, say

_Text = str | None


def change(
    identifier: AnyId,
    *,
    name: Annotated[_Text, typer.Option(help="Another name; an empty one: as the spec says.")] = None,
    label: Annotated[
        list[str],
        typer.Option(help="A label in the place of those that it has; may be repeated, and an empty one is none."),
    ] = [],  # noqa: B006  # the library copies it
    notes: Annotated[_Text, typer.Option(help="Notes in the place of those that it has.")] = None,
    keep_every: Annotated[int | None, typer.Option(help="Keep the checkpoints of epochs that this divides.")] = None,
    keep_best: Annotated[int | None, typer.Option(help="Keep so many of the best under FGSM.")] = None,
    keep_last: Annotated[int | None, typer.Option(help="Keep so many of the last.")] = None,
    keep_all: Annotated[bool, typer.Option("--keep-all", help="Keep all checkpoints.")] = False,
    json: AsJson = False,
) -> None:
    """Change an experiment's name, labels, notes or which checkpoints stay, or a checkpoint's labels or notes."""
    keep = {"every": keep_every, "best": keep_best, "last": keep_last}
    kept = {field: value for field, value in keep.items() if value is not None}
    if keep_all and kept:
        raise typer.BadParameter("--keep-all does not go with other --keep options.")
    changes: dict[str, Any] = {} if name is None else {"name": name or None}
    changes |= {"labels": [each for each in label if each]} if label else {}
    changes |= {} if notes is None else {"notes": notes}
    changes |= {"keep": kept or None} if kept or keep_all else {}
    if not changes:
        raise typer.BadParameter("What is to be changed? --name, --label, --notes, or a --keep option.")
    with open_client() as client, refusals_told(by_option):
        changed: Any
        match kind_of(identifier):
            case "an experiment":
                changed = client.change_experiment(identifier, **changes)
            case "a checkpoint":
                changed = client.change_checkpoint(identifier, **changes)
            case kind:
                give_up(f"{identifier} is the id of {kind}; an experiment or a checkpoint can be changed.")
    if json:
        print_json(changed)
    else:
        say(f"{identifier}: changed")

"""Ids on the command line: what each is of, by how it begins."""

from collections.abc import Callable
from typing import Annotated, Final

import typer

KINDS: Final = {
    "exp": "an experiment",
    "run": "a run",
    "eval": "an evaluation",
    "ckpt": "a checkpoint",
    "dset": "a data set",
    "local": "a data set",
}


def kind_of(identifier: str) -> str:
    """What the id is of, such as `a run`; ends the command where it is of nothing.

    Raises:
        typer.BadParameter: no id begins so.
    """
    kind = KINDS.get(identifier.partition("_")[0])
    if kind is None:
        raise typer.BadParameter(
            f"{identifier} is no id: ids begin with {', '.join(f'{prefix}_' for prefix in KINDS)}."
        )
    return kind


def _only(kind: str) -> Callable[[str | list[str] | None], str | list[str] | None]:
    def check(given: str | list[str] | None) -> str | list[str] | None:
        for identifier in [given] if isinstance(given, str) else given or []:
            found = KINDS.get(identifier.partition("_")[0], kind)
            if found != kind:
                raise typer.BadParameter(f"{identifier} is the id of {found}; that of {kind} is needed here.")
        return given

    return check


ExperimentId = Annotated[
    str, typer.Argument(metavar="EXPERIMENT", help="The experiment's id.", callback=_only("an experiment"))
]
SomeExperimentId = Annotated[
    str | None, typer.Argument(metavar="[EXPERIMENT]", help="Only this experiment's.", callback=_only("an experiment"))
]
SomeLikeId = Annotated[
    str | None,
    typer.Option("--like", help="An experiment to take the spec of.", callback=_only("an experiment")),
]
RunId = Annotated[str, typer.Argument(metavar="RUN", help="The run's id.", callback=_only("a run"))]
SomeRunId = Annotated[str | None, typer.Argument(metavar="[RUN]", help="Only this run's.", callback=_only("a run"))]
CheckpointId = Annotated[
    str, typer.Argument(metavar="CHECKPOINT", help="The checkpoint's id.", callback=_only("a checkpoint"))
]
SomeCheckpointId = Annotated[
    str | None,
    typer.Argument(metavar="[CHECKPOINT]", help="Only this checkpoint's.", callback=_only("a checkpoint")),
]
CheckpointIds = Annotated[
    list[str],
    typer.Argument(metavar="CHECKPOINT...", help="Two checkpoints or more.", callback=_only("a checkpoint")),
]
CheckpointOptions = Annotated[
    list[str],
    typer.Option("--checkpoint", help="A checkpoint's id; may be repeated.", callback=_only("a checkpoint")),
]
EvaluationId = Annotated[
    str, typer.Argument(metavar="EVALUATION", help="The evaluation's id.", callback=_only("an evaluation"))
]
DatasetId = Annotated[
    str, typer.Argument(metavar="DATASET", help="The data set's id, as the list has it.", callback=_only("a data set"))
]
AnyId = Annotated[str, typer.Argument(metavar="ID", help="An experiment, run, checkpoint, evaluation or data set.")]

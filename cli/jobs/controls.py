"""The commands that change how a job goes on, or that there is one."""

import sys
from collections.abc import Callable, Mapping
from typing import Annotated

import typer

from cli.connection import open_client
from cli.identifiers import AnyId, kind_of
from cli.json_output import AsJson, print_json, print_plain
from cli.terminal import give_up, say, tell_id
from gauntlet.client import GauntletClient
from gauntlet.resources import TERMINAL, Evaluation, Experiment, Run
from gauntlet.spec.asked.priorities import PRIORITIES, Priority

_Job = Run | Evaluation | Experiment
_Asks = Mapping[str, Callable[[GauntletClient, str], _Job]]

_CANCEL: _Asks = {
    "a run": GauntletClient.cancel_run,
    "an evaluation": GauntletClient.cancel_evaluation,
    "an experiment": GauntletClient.cancel_experiment,
}
_PAUSE: _Asks = {
    "a run": GauntletClient.pause_run,
    "an evaluation": GauntletClient.pause_evaluation,
    "an experiment": GauntletClient.pause_experiment,
}
_RESUME: _Asks = {
    "a run": GauntletClient.resume_run,
    "an evaluation": GauntletClient.resume_evaluation,
    "an experiment": GauntletClient.resume_experiment,
}


_PRIORITISE: Mapping[str, Callable[[GauntletClient, str, Priority], Evaluation | Experiment]] = {
    "an evaluation": GauntletClient.prioritise_evaluation,
    "an experiment": GauntletClient.prioritise_experiment,
}
_DELETE: Mapping[str, Callable[[GauntletClient, str], None]] = {
    "an experiment": GauntletClient.delete_experiment,
    "a checkpoint": GauntletClient.delete_checkpoint,
    "an evaluation": GauntletClient.delete_evaluation,
}
_RETRY: _Asks = {"a run": GauntletClient.retry_run, "an evaluation": GauntletClient.retry_evaluation}


def cancel(identifier: AnyId, *, json: AsJson = False) -> None:
    """Cancel a run or an evaluation, or all of an experiment."""
    _ask(_CANCEL, identifier, "cancelling; running jobs stop at their next batch", as_json=json)


def pause(identifier: AnyId, *, json: AsJson = False) -> None:
    """Pause a run with the evaluations that follow it, an evaluation, or all of an experiment, until it is resumed.

    What runs saves its state at its next batch and makes room for other jobs.
    """
    _ask(_PAUSE, identifier, "pausing; running jobs save their state and stop at their next batch", as_json=json)


def resume(identifier: AnyId, *, json: AsJson = False) -> None:
    """Let what is paused go on where it stopped."""
    _ask(_RESUME, identifier, None, as_json=json)


def retry(identifier: AnyId, *, json: AsJson = False) -> None:
    """Queue a run or an evaluation in the place of one that failed or was cancelled, and print its id.

    A run goes on from the last saved state, an evaluation after the batches that are done.
    """
    kind = kind_of(identifier)
    if kind not in _RETRY:
        give_up(f"{identifier} is the id of {kind}; a run or an evaluation can be retried.")
    with open_client() as client:
        job = _RETRY[kind](client, identifier)
    if json:
        print_json(job)
    else:
        tell_id(job.id)


def priority(
    identifier: AnyId,
    priority: Annotated[str, typer.Argument(metavar="PRIORITY", help="high, normal or low.")],
    *,
    json: AsJson = False,
) -> None:
    """Let an experiment or an evaluation come sooner or later than what else waits.

    high goes before its owner's other work; low waits for all that is not low.
    """
    if priority not in PRIORITIES:
        raise typer.BadParameter("The priority must be high, normal or low.")
    kind = kind_of(identifier)
    if kind not in _PRIORITISE:
        give_up(f"{identifier} is the id of {kind}; an experiment or an evaluation has a priority.")
    with open_client() as client:
        job = _PRIORITISE[kind](client, identifier, priority)
    if json:
        print_json(job)
    else:
        say(f"{identifier}: {job.priority}")


def delete(
    identifier: AnyId,
    *,
    pictures: Annotated[
        bool, typer.Option("--pictures", help="Of an evaluation only the attacked pictures that it kept.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    json: AsJson = False,
) -> None:
    """Delete an experiment with all it made, a checkpoint, or an evaluation that was asked for by itself, for good.

    What has not ended, and what others stand on, is refused.
    """
    kind = kind_of(identifier)
    if kind not in _DELETE:
        give_up(f"{identifier} is the id of {kind}; it is deleted with its experiment.")
    if pictures and kind != "an evaluation":
        give_up(f"{identifier} is the id of {kind}; an evaluation alone keeps attacked pictures.")
    what = "the pictures of the evaluation" if pictures else kind
    if not yes and sys.stdin.isatty():
        typer.confirm(f"Delete {what} {identifier} for good?", abort=True, err=True)
    with open_client() as client:
        if pictures:
            client.delete_pictures(identifier)
        else:
            _DELETE[kind](client, identifier)
    if json:
        print_plain({"id": identifier, "deleted": "pictures" if pictures else True})
    else:
        say(f"{identifier}: {'pictures ' if pictures else ''}deleted")


def _ask(asks: _Asks, identifier: str, while_running: str | None, *, as_json: bool) -> None:
    """Ask it of the job and say how that stands now; `while_running` where it will still come to it."""
    kind = kind_of(identifier)
    if kind not in asks:
        give_up(f"{identifier} is the id of {kind}, which does not run.")
    with open_client() as client:
        job = asks[kind](client, identifier)
    if as_json:
        print_json(job)
        return
    stands = job.status in {*TERMINAL, "paused"} or while_running is None
    say(f"{identifier}: {job.status if stands else while_running}")

"""Following an experiment, or evaluations by themselves, until all of it has ended."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from rich.console import Console

from cli.jobs.bars import Bars
from cli.jobs.lines import Lines
from cli.jobs.patience import PATIENCE_S, Patience
from cli.jobs.watched import Watched
from gauntlet.client import GauntletClient
from gauntlet.report.numbers import selection_title
from gauntlet.resources import TERMINAL, EpochMetrics, Evaluation, Experiment
from gauntlet.spec.runs.objective_labels import objective_title

_LOOK_EVERY_S = 0.5
# Of an experiment with a thousand jobs a look takes long: the service is asked for a fifth of the time at most.
_REST_PER_LOOK = 4.0

Ended = TypeVar("Ended")
# One look: what is watched by now, and the answer once all has ended.
Look = Callable[[], tuple[list[Watched], Ended | None]]


def watch(
    client: GauntletClient,
    experiment: str,
    to: Console,
    *,
    look_every_s: float = _LOOK_EVERY_S,
    patience_s: float = PATIENCE_S,
) -> Experiment:
    """Show the experiment's jobs until it ends, and return it.

    On a screen each job has a bar; elsewhere there is a line for each epoch and each attack that ends.

    Raises:
        GauntletClientError: there is no such experiment, or the service stays away for `patience_s`.
    """

    def look() -> tuple[list[Watched], Experiment | None]:
        # Asked for before its jobs, so that the last look at them shows how they ended.
        seen = client.experiment(experiment)
        return list(_jobs_of(client, experiment)), seen if seen.status in TERMINAL else None

    return _follow(look, client, to, look_every_s, patience_s)


def watch_evaluations(
    client: GauntletClient, evaluations: Sequence[str], to: Console, *, patience_s: float = PATIENCE_S
) -> list[Evaluation]:
    """Show the evaluations until all have ended, and return them.

    Raises:
        GauntletClientError: there is none with such an id, or the service stays away for `patience_s`.
    """

    def look() -> tuple[list[Watched], list[Evaluation] | None]:
        seen = [client.evaluation(identifier) for identifier in evaluations]
        ended = all(evaluation.status in TERMINAL for evaluation in seen)
        return [Watched(each.checkpoint_name or each.checkpoint, each) for each in seen], seen if ended else None

    return _follow(look, client, to, _LOOK_EVERY_S, patience_s, by_attack=True)


def _follow(
    look: Look[Ended],
    client: GauntletClient,
    to: Console,
    look_every_s: float,
    patience_s: float,
    *,
    by_attack: bool = False,
) -> Ended:
    def epochs_after(run: str, epoch: int) -> list[EpochMetrics]:
        return patience.ask(lambda: list(client.metrics(run, after=epoch)))

    view = Bars(to, by_attack=by_attack) if to.is_interactive else Lines(to, epochs_after)
    patience = Patience(view.tell, patience_s)
    with view:
        while True:
            started = time.monotonic()
            jobs, ended = patience.ask(look)
            view.show(jobs)
            if ended is not None:
                return ended
            time.sleep(max(look_every_s, _REST_PER_LOOK * (time.monotonic() - started)))


def _jobs_of(client: GauntletClient, experiment: str) -> Iterator[Watched]:
    names = {}
    for run in reversed(list(client.runs(experiment))):
        names[run.id] = f"{objective_title(run.objective)}, seed {run.seed}"
        yield Watched(names[run.id], run)
    for evaluation in reversed(list(client.evaluations(experiment=experiment))):
        selected = " = ".join(map(selection_title, evaluation.selection))
        yield Watched(f"{names.get(evaluation.run or '', evaluation.checkpoint_name)}, {selected}", evaluation)

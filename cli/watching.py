"""A live view of an experiment: one bar per run and per evaluation, until all have ended."""

import time
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn

from client import GauntletClient
from gauntlet.resources import TERMINAL, Evaluation, Experiment, Run

_LOOK_EVERY_S = 0.5
_STYLES = {"succeeded": "green", "failed": "red", "cancelled": "yellow", "running": "cyan"}


def watch(
    client: GauntletClient, experiment_id: str, console: Console, *, look_every_s: float = _LOOK_EVERY_S
) -> Experiment:
    """Show the experiment's jobs until it ends, and return it."""
    with _bars(console) as progress:
        bars: dict[str, TaskID] = {}
        while True:
            # Asked for before its jobs, so that the last look at them shows how they ended.
            experiment = client.experiment(experiment_id)
            names = {}
            for run in reversed(list(client.runs(experiment_id))):
                names[run.id] = escape(f"{run.objective}, seed {run.seed}")
                _update(progress, bars, run, names[run.id])
            for evaluation in reversed(list(client.evaluations(experiment=experiment_id))):
                selected = " = ".join(selection.replace("_", " ") for selection in evaluation.selection)
                _update(progress, bars, evaluation, f"  {names.get(evaluation.run or '', '')}, {selected}")
            if experiment.status in TERMINAL:
                return experiment
            time.sleep(look_every_s)


def watch_evaluations(client: GauntletClient, evaluations: Sequence[str], console: Console) -> list[Evaluation]:
    """Show the evaluations, a bar for each attack, until all have ended, and return them."""
    with _bars(console) as progress:
        bars: dict[tuple[str, str], TaskID] = {}
        while True:
            seen = [client.evaluation(identifier) for identifier in evaluations]
            for evaluation in seen:
                for attack in evaluation.attacks:
                    key = evaluation.id, attack.label
                    if key not in bars:
                        name = f"{evaluation.checkpoint}, {attack.label}" if len(seen) > 1 else attack.label
                        bars[key] = progress.add_task(escape(name), total=None, state="queued")
                    state = " ".join(_parts(attack.status, attack.eta_s or None))
                    progress.update(bars[key], total=attack.total, completed=attack.completed, state=state)
            if all(evaluation.status in TERMINAL for evaluation in seen):
                return seen
            time.sleep(_LOOK_EVERY_S)


def _bars(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        TextColumn("{task.fields[state]}"),
        console=console,
    )


def _update(progress: Progress, bars: dict[str, TaskID], job: Run | Evaluation, name: str) -> None:
    if job.id not in bars:
        bars[job.id] = progress.add_task(name, total=None, state="queued")
    if job.status == "succeeded":
        progress.update(bars[job.id], total=1, completed=1, state=_state(job))
    elif job.progress is not None:
        progress.update(bars[job.id], total=job.progress.total, completed=job.progress.completed, state=_state(job))
    else:
        progress.update(bars[job.id], state=_state(job))


def _state(job: Run | Evaluation) -> str:
    style = _STYLES.get(job.status, "dim")
    if job.status == "running" and job.progress is not None:
        return f"[{style}]{' '.join(_parts(job.progress.phase, job.progress.eta_s))}[/]"
    reason = f" ({job.status_reason})" if job.status_reason else ""
    return f"[{style}]{job.status}{reason}[/]"


def _parts(phase: str, eta_s: float | None) -> Iterable[str]:
    yield phase
    if eta_s is not None:
        yield f"· {_duration(eta_s)} left"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"

"""What a sweep found: its trials ranked, and what was selected on what."""

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict

from gauntlet.report.numbers import counted, per_cent
from gauntlet.spec.evaluations.evaluation import ExperimentEvaluationSpec, SelectOn
from gauntlet.spec.runs.objective_labels import objective_title
from gauntlet.spec.sweeps import READINGS, Sweep, SweepMethod, Trial, in_words

_ON: Mapping[SelectOn, str] = {"test": "the test images", "validation": "held-out training images"}
_METRICS = {"fgsm_accuracy": "FGSM accuracy", "accuracy": "natural accuracy"}


class TrialRun(NamedTuple):
    """A run of a trial as far as it has come: its last epoch, None before the first, and the metric there."""

    trial: Trial
    label: str
    epoch: int | None
    value: float | None
    complete: bool
    stopped: bool


class RankedTrial(BaseModel):
    """A trial with one of the experiment's objectives, and its place among all of them with that objective.

    `value` is the mean over its runs of the metric after their last epoch, `epochs` the fewest that one has. It is
    `complete` if all its runs were trained to their end, and `stopped` if the sweep stopped one before.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rank: int
    number: int
    objective: str
    label: str
    values: dict[str, Any]
    runs: int
    epochs: int
    value: float
    complete: bool
    stopped: bool


class SweepResult(BaseModel):
    """The trials that have come to an epoch, by objective and rank; `selected` are labels, one for each objective.

    Those that were trained to their end come first, then those that came further. `result` says it in words.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: SweepMethod
    metric: str
    selected_on: SelectOn
    trials: tuple[RankedTrial, ...]
    selected: tuple[str, ...]
    result: str


def metric_of(sweep: Sweep, evaluation: ExperimentEvaluationSpec) -> str:
    """The name of the epochs' metric that trials are compared by."""
    return f"{evaluation.select_on}_{sweep.metric}"


def sweep_result(sweep: Sweep, evaluation: ExperimentEvaluationSpec, runs: Iterable[TrialRun]) -> SweepResult:
    """Rank the trials; nothing is selected before one was trained to its end."""
    by_objective: dict[str, dict[int, list[TrialRun]]] = {}
    for run in runs:
        by_objective.setdefault(run.trial.objective, {}).setdefault(run.trial.number, []).append(run)
    ranked = {objective: tuple(_ranked(list(trials.values()))) for objective, trials in by_objective.items()}
    return SweepResult(
        method=sweep.method,
        metric=metric_of(sweep, evaluation),
        selected_on=evaluation.select_on,
        trials=tuple(trial for trials in ranked.values() for trial in trials),
        selected=tuple(trials[0].label for trials in ranked.values() if trials and trials[0].complete),
        result=" ".join(_in_words(sweep, evaluation.select_on, trials) for trials in ranked.values() if trials),
    )


def sweep_warnings(found: SweepResult) -> Iterator[str]:
    """Why trials' numbers do not compare, or the selected one's are not what a new one of its kind would show."""
    if len({_reading(trial.values) for trial in found.trials}) > 1:
        yield (
            "The sweep's trials read the same pictures in different ways, and each was attacked on the images that it "
            "reads: the same budget is not the same threat to them, so compare their natural accuracies alone. What is "
            "said of the data is of the first trial's."
        )
    if len({_budget(trial.values) for trial in found.trials}) > 1:
        yield (
            "The sweep's trials were attacked in training, and after each epoch, at budgets of their own, and the "
            "smallest has the highest natural and FGSM accuracy: FGSM accuracies do not compare, neither in curves nor "
            "at equal accuracy. Compare what the evaluation's attacks leave, whose budgets are the same for all."
        )
    if found.selected_on == "test" and found.selected:
        yield (
            "The sweep selected on the test images, so what the selected trial shows on them, under attack too, is "
            "better than it would be on new ones. Hold images out to select on: evaluation.select_on validation."
        )


def _reading(values: Mapping[str, Any]) -> tuple[object, ...]:
    return tuple(values.get(field) for field in READINGS)


def _budget(values: Mapping[str, Any]) -> tuple[object, ...]:
    """What FGSM after each epoch is given: of an adversary that is swept as a whole as well."""
    whole = values.get("adversary", {})
    return tuple(values.get(f"adversary.{field}", whole.get(field)) for field in ("eps", "norm"))


def _ranked(trials: Sequence[Sequence[TrialRun]]) -> Iterator[RankedTrial]:
    measured = [runs for runs in trials if any(run.value is not None for run in runs)]
    for rank, runs in enumerate(sorted(measured, key=_place), 1):
        first = runs[0]
        yield RankedTrial(
            rank=rank,
            number=first.trial.number,
            objective=first.trial.objective,
            label=first.label,
            values=first.trial.values,
            runs=len(runs),
            epochs=_epochs(runs),
            value=_mean(runs),
            complete=all(run.complete for run in runs),
            stopped=any(run.stopped for run in runs),
        )


def _place(runs: Sequence[TrialRun]) -> tuple[bool, int, float, int]:
    complete = all(run.complete for run in runs)
    # Of trials that were trained to their end the longer is not the better.
    return not complete, 0 if complete else -_epochs(runs), -_mean(runs), runs[0].trial.number


def _epochs(runs: Sequence[TrialRun]) -> int:
    return min(run.epoch or 0 for run in runs)


def _mean(runs: Sequence[TrialRun]) -> float:
    return statistics.fmean(run.value for run in runs if run.value is not None)


def _in_words(sweep: Sweep, selected_on: SelectOn, trials: Sequence[RankedTrial]) -> str:
    best, stopped = trials[0], sum(trial.stopped for trial in trials)
    of = f"Of {counted(len(trials), 'trial')} ({sweep.method}) with {objective_title(best.objective)}"
    ends = f" {stopped} of them were stopped early." if stopped else ""
    if not best.complete:
        return f"{of} none has been trained to its end yet.{ends}"
    measured = f"{_METRICS[sweep.metric]} on {_ON[selected_on]}, {per_cent(best.value)} %"
    return (
        f"{of} the one with {in_words(best.values)} is selected, for the highest {measured} after its last epoch.{ends}"
    )

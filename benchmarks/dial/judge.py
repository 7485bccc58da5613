"""The judgement that PLAN.md describes, made of the records alone."""

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np

from benchmarks.claim.records import RunRecord, read_runs
from benchmarks.dial.rise import around, rising_part
from gauntlet.results.intervals import holm, paired_p, student_interval
from gauntlet.spec.experiment import ExperimentSpec

BASELINE = "cross-entropy"
# From the reward to cross-entropy, in which all terms are.
DIAL = ("T = 1", "T = 2", "T = 4", "T = 16", "T = 128", BASELINE)
# What each sampled arm estimates.
_EXACT = {"sampled in groups of 16": "T = 1", "sampled MaxRL in groups of 16": "T = 16"}
_ALPHA = 0.05
_FEWEST_SEEDS = 2
Found = Literal["shown", "not shown", "not decided"]
# An arm's figure for each seed that has one.
BySeed = Mapping[int, float]
# A checkpoint's natural accuracy and its robust one, None where that is not measured.
Point = tuple[float, float | None]


@dataclass(frozen=True)
class Last:
    """What was measured at an arm's last epoch, as fractions.

    Natural accuracy and mean confidence are of all test images, `gap` is train minus natural accuracy, and `robust` the
    accuracy under the attack that is judged by.
    """

    natural: float
    robust: float
    gap: float
    confidence: float


@dataclass(frozen=True)
class Arm:
    """An arm's last epoch, by seed and the mean; robust accuracy is of `n` images."""

    name: str
    by_seed: dict[int, Last]
    mean: Last
    n: int


@dataclass(frozen=True)
class Trend:
    """A trend along the dial: each setting's mean, over the seeds that have all, and Page's one-sided p."""

    name: str
    means: dict[str, float]
    seeds: tuple[int, ...]
    p: float | None
    adjusted_p: float | None = None

    @property
    def found(self) -> Found:
        """Whether chance does not explain it."""
        if self.adjusted_p is None:
            return "not decided"
        return "shown" if self.adjusted_p < _ALPHA else "not shown"


@dataclass(frozen=True)
class Difference:
    """One arm minus another under the attack, a fraction of the same images; `interval` is Student's t at 95 %."""

    name: str
    by_seed: dict[int, float]
    mean: float
    interval: tuple[float, float] | None
    p: float | None
    adjusted_p: float | None = None


@dataclass(frozen=True)
class Verdict:
    """What the plan asks of one data set, as far as it is measured; `missing` names what is not, or has no figure.

    `trained_on` was not planned and is not tested: the baseline's last checkpoint minus itself where it first was as
    accurate, which is what training on brings without any other loss.
    """

    arms: tuple[Arm, ...]
    trends: tuple[Trend, ...]
    differences: tuple[Difference, ...]
    trained_on: Difference | None
    missing: tuple[str, ...]


Tested = TypeVar("Tested", Trend, Difference)


def judge(results: Path, dataset: str, attack: str = "apgd-t") -> Verdict | None:
    """Judge the records `dataset` and `dataset`-early below `results`; None where there is none of cross-entropy.

    Robust accuracy is the one under `attack`, whatever its norm and budget.
    """
    if not (results / dataset / "spec.json").exists():
        return None
    spec = ExperimentSpec.model_validate_json((results / dataset / "spec.json").read_text(encoding="utf-8"))
    planned = [_called(objective.label, objective.kind) for objective in spec.objectives]
    runs: dict[str, dict[int, RunRecord]] = {}
    for run in _under(attack, read_runs(results / dataset)):
        if run.history[-1].epoch == spec.training.epochs and _robust(run) is not None:
            runs.setdefault(_name(run), {})[run.seed] = run
    if BASELINE not in runs:
        return None
    early = {run.seed: run for run in _under(attack, read_runs(results / f"{dataset}-early"))}
    rises = {seed: _rise(run, early.get(seed)) for seed, run in runs[BASELINE].items()}
    beside = {
        (name, seed): around(rises[seed], run.history[-1].natural, lambda point: point[0])
        for name, arm in runs.items()
        for seed, run in arm.items()
        if seed in rises
    }
    ahead: dict[str, BySeed] = {
        name: {
            seed: found for seed, run in arm.items() if (found := _ahead(run, beside.get((name, seed), ()))) is not None
        }
        for name, arm in runs.items()
    }
    trained_on = ahead[BASELINE]
    equal: dict[str, BySeed] = ahead | {BASELINE: dict.fromkeys(runs[BASELINE], 0.0)}
    arms = {name: _arm(name, arm) for name, arm in runs.items()}
    natural = {name: {seed: last.natural for seed, last in arm.by_seed.items()} for name, arm in arms.items()}
    robust = {name: {seed: last.robust for seed, last in arm.by_seed.items()} for name, arm in arms.items()}
    settings = [name for name in DIAL if name in planned]
    trends = [
        _trend("robust accuracy at equal natural accuracy falls with T", settings, equal, rising=False),
        _trend("natural accuracy at the last epoch rises with T", settings, natural, rising=True),
    ]
    others = [name for name in runs if name != BASELINE]
    differences = [_difference(f"{name}, last epoch", robust[name], robust[BASELINE]) for name in others]
    differences += [_difference(f"{name}, at equal natural accuracy", equal[name], {}) for name in others]
    differences += [
        _difference(f"{sampled} minus {exact}, last epoch", robust[sampled], robust[exact])
        for sampled, exact in _EXACT.items()
        if {sampled, exact} <= runs.keys()
    ]
    return Verdict(
        arms=tuple(arms.values()),
        trends=tuple(_adjusted(trends)),
        differences=tuple(_adjusted([one for one in differences if one is not None])),
        trained_on=_difference(f"{BASELINE}, last epoch, minus itself where it first was as accurate", trained_on, {}),
        missing=tuple(_missing(planned, spec.seeds, runs, beside, equal)),
    )


def _missing(
    planned: Sequence[str],
    seeds: Sequence[int],
    runs: Mapping[str, Mapping[int, RunRecord]],
    beside: Mapping[tuple[str, int], Sequence[Point]],
    equal: Mapping[str, BySeed],
) -> Iterator[str]:
    for name in planned:
        for seed in seeds:
            if seed not in runs.get(name, {}):
                yield f"{name}, seed {seed}: no record to its last epoch"
            elif seed not in runs[BASELINE]:
                yield f"{name}, seed {seed}, at equal natural accuracy: cross-entropy has no record"
            elif seed not in equal[name]:
                why = "is not measured where it was as accurate" if beside[name, seed] else "never was as accurate"
                yield f"{name}, seed {seed}, at equal natural accuracy: cross-entropy {why}"


def _under(attack: str, runs: Iterable[RunRecord]) -> Iterator[RunRecord]:
    """The same, of whose attacks that one is left."""
    for run in runs:
        yield replace(run, attacked=tuple(one for one in run.attacked if one.attack.startswith(f"{attack}@")))


def _name(run: RunRecord) -> str:
    return _called(run.label, run.kind)


def _called(label: str | None, kind: str) -> str:
    return label or kind.replace("_", "-")


def _robust(run: RunRecord, epoch: int | None = None) -> float | None:
    """Robust accuracy of the checkpoint of that epoch, the last one by default; on the most images."""
    at = run.history[-1].epoch if epoch is None else epoch
    found = [one for one in run.attacked if one.epoch == at]
    return max(found, key=lambda one: one.n).accuracy if found else None


def _last(run: RunRecord) -> Last:
    robust, last = _robust(run), run.history[-1]
    assert robust is not None
    return Last(last.natural, robust, last.train - last.natural, last.confidence)


def _rise(baseline: RunRecord, early: RunRecord | None) -> list[Point]:
    """Of cross-entropy's kept checkpoints those that were more accurate than every one before."""
    kept: dict[tuple[int, float], Point] = {}
    for one in (baseline,) if early is None else (early, baseline):
        for epoch in one.history:
            # The other record may have the same epoch: either's measurement will do.
            if epoch.epoch in one.kept and kept.get((epoch.epoch, epoch.natural), (0, None))[1] is None:
                kept[epoch.epoch, epoch.natural] = (epoch.natural, _robust(one, epoch.epoch))
    return rising_part(kept.values(), lambda point: point[0])


def _ahead(run: RunRecord, beside: Sequence[Point]) -> float | None:
    """A run's last checkpoint minus cross-entropy's between whose natural accuracies it lies; None if not measured."""
    measured = [(natural, robust) for natural, robust in beside if robust is not None]
    if not measured or len(measured) < len(beside):
        return None
    accuracies, robust_then = zip(*measured, strict=True)
    return _last(run).robust - float(np.interp(run.history[-1].natural, accuracies, robust_then))


def _arm(name: str, arm: Mapping[int, RunRecord]) -> Arm:
    by_seed = {seed: _last(run) for seed, run in arm.items()}
    figures = (field.name for field in fields(Last))
    mean = Last(**{figure: statistics.fmean(getattr(last, figure) for last in by_seed.values()) for figure in figures})
    return Arm(name, by_seed, mean, n=max(one.n for run in arm.values() for one in run.attacked))


def _trend(name: str, settings: Sequence[str], figures: Mapping[str, BySeed], *, rising: bool) -> Trend:
    """Over the seeds that have all settings; without one of them there is nothing to decide."""
    there = [setting for setting in settings if figures.get(setting)]
    seeds = sorted(set.intersection(*(set(figures[setting]) for setting in there)))
    means = {setting: statistics.fmean(figures[setting][seed] for seed in seeds) for setting in there if seeds}
    p = None
    if there == list(settings) and len(seeds) >= _FEWEST_SEEDS:
        ranks = range(1, len(settings) + 1) if rising else range(len(settings), 0, -1)
        table = [[figures[setting][seed] for setting in settings] for seed in seeds]
        from scipy.stats import page_trend_test  # a second that who only looks at the records need not wait for

        p = float(page_trend_test(table, predicted_ranks=list(ranks)).pvalue)
    return Trend(name, means, tuple(seeds), p)


def _difference(name: str, figures: BySeed, minus: BySeed) -> Difference | None:
    """Of the seeds that both have; without anything to take away the figures are differences already."""
    by_seed = {seed: value - minus.get(seed, 0.0) for seed, value in figures.items() if not minus or seed in minus}
    if not by_seed:
        return None
    values = list(by_seed.values())
    return Difference(name, by_seed, statistics.fmean(values), student_interval(values), paired_p(values))


def _adjusted(tests: Sequence[Tested]) -> list[Tested]:
    """The same with p adjusted for all that have one."""
    tested = {position: one.p for position, one in enumerate(tests) if one.p is not None}
    adjusted = dict(zip(tested, holm(list(tested.values())), strict=True))
    return [replace(one, adjusted_p=adjusted.get(position)) for position, one in enumerate(tests)]

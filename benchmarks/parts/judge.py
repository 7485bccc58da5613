"""The judgement that PLAN.md describes, made of the records alone."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Literal

import numpy as np

from benchmarks.claim.records import RunRecord, planned_seeds, read_runs
from gauntlet.results.intervals import holm
from gauntlet.spec.experiment import ExperimentSpec
from gauntlet.spec.runs.architectures import Cnn
from gauntlet.spec.runs.objectives import PolicyGradient

# Smaller and greater, fewer and more.
_BATCHES, _UPDATES = (16, 64), (900, 1800)
CELLS = tuple(
    f"batch-{batch}-{updates}{dropout}" for batch, updates, dropout in product(_BATCHES, _UPDATES, ("", "-no-dropout"))
)
# As the specs label them, each with what the one before it lacks.
CREDITS = ("no baseline", "the batch's mean", "the batch's mean, scaled")
_SEEDS = (20, 21)
_ALPHA = 0.05
# For each accuracy, squared: one image of 360 makes 8e-6, and rounding some 1e-32.
_ROUNDING = 1e-20
_EFFECTS = (
    "the likeliest class minus sampled",
    "the batch's mean minus no baseline",
    "scaled minus the batch's mean unscaled",
    "batches of 64 minus 16",
    "dropout minus none",
    "1,800 updates minus 900",
    "the mean's effect: the likeliest class minus sampled",
    "the scale's effect: the likeliest class minus sampled",
)


@dataclass(frozen=True)
class Combination:
    """One setting of each part."""

    likeliest: bool
    credit: str
    batch: int
    dropout: bool
    updates: int


@dataclass(frozen=True)
class Measured:
    """A combination's accuracies at the last epoch by seed, fractions: natural, and under APGD-T."""

    combination: Combination
    natural: dict[int, float]
    robust: dict[int, float]


@dataclass(frozen=True)
class Effect:
    """A difference of accuracies, a fraction, with Student's interval at 95 %."""

    name: str
    size: float
    interval: tuple[float, float]
    p: float
    adjusted_p: float

    @property
    def found(self) -> Literal["shown", "not shown"]:
        """Whether chance does not explain it."""
        return "shown" if self.adjusted_p < _ALPHA else "not shown"


@dataclass(frozen=True)
class Verdict:
    """What the plan asks, as far as it is measured: no effects while `missing` names a run without a record."""

    measured: tuple[Measured, ...]
    robust: tuple[Effect, ...]
    natural: tuple[Effect, ...]
    missing: tuple[str, ...]


def judge(results: Path) -> Verdict:
    """Judge the records of the cells below `results`."""
    found = [measured for cell in CELLS for measured in _of_cell(results / cell)]
    missing = tuple(_missing(results))
    if missing:
        return Verdict(tuple(found), (), (), missing)
    rows = [_row(one.combination, seed) for one in found for seed in _SEEDS]
    robust = [one.robust[seed] for one in found for seed in _SEEDS]
    natural = [one.natural[seed] for one in found for seed in _SEEDS]
    return Verdict(tuple(found), effects(rows, robust), effects(rows, natural), missing)


def effects(rows: Sequence[Sequence[float]], outcomes: Sequence[float]) -> tuple[Effect, ...]:
    """The plan's effects by least squares on the rows of the model's design, p by Holm over all of them."""
    from scipy.special import stdtr, stdtrit  # a quarter of a second that who only looks need not wait for

    design, values = np.array(rows), np.array(outcomes)
    inverse = np.linalg.inv(design.T @ design)
    sizes = inverse @ design.T @ values
    freedom = len(values) - len(sizes)
    squares = float(np.sum((values - design @ sizes) ** 2))
    # As of equal accuracies: nothing is left but what rounding leaves, beside which no size can be judged.
    exact = squares < _ROUNDING * len(values)
    errors = np.sqrt(squares / freedom * np.diag(inverse))
    half = stdtrit(freedom, 0.975) * errors
    found = [
        Effect(
            name,
            float(size),
            (float(size - width), float(size + width)),
            1 if exact else 2 * float(stdtr(freedom, -abs(size / error))),
            1,
        )
        for name, size, width, error in zip(_EFFECTS, sizes[2:], half[2:], errors[2:], strict=True)
    ]
    adjusted = holm([one.p for one in found])
    return tuple(replace(one, adjusted_p=p) for one, p in zip(found, adjusted, strict=True))


def _row(combination: Combination, seed: int) -> list[float]:
    """Of the design: everything centred, so that each effect is the average over all others."""
    action = _half(on=combination.likeliest)
    level = CREDITS.index(combination.credit)
    mean, scaled = (level > 0) - 2 / 3, (level > 1) - 1 / 3
    return [
        1.0,
        _half(on=seed == _SEEDS[-1]),
        action,
        mean,
        scaled,
        _half(on=combination.batch == _BATCHES[-1]),
        _half(on=combination.dropout),
        _half(on=combination.updates == _UPDATES[-1]),
        action * mean,
        action * scaled,
    ]


def _half(*, on: bool) -> float:
    return 0.5 if on else -0.5


def _of_cell(record: Path) -> Iterator[Measured]:
    """Of each credit what is measured of it so far."""
    if not (record / "spec.json").exists():
        return
    spec = ExperimentSpec.model_validate_json((record / "spec.json").read_text(encoding="utf-8"))
    assert isinstance(spec.architecture, Cnn), "The plan knows no other."
    runs = _measured(record)
    for objective in spec.objectives:
        assert isinstance(objective, PolicyGradient), "The plan knows no other."
        credit = str(objective.label)
        own = {seed: run for (label, seed), run in runs.items() if label == credit}
        if own:
            combination = Combination(
                likeliest=objective.action == "argmax",
                credit=credit,
                batch=spec.training.batch_size,
                dropout=spec.architecture.dropout,
                updates=_UPDATES[f"-{_UPDATES[-1]}" in record.name],
            )
            natural = {seed: run.history[-1].natural for seed, run in own.items()}
            yield Measured(combination, natural, {seed: _robust(run) for seed, run in own.items()})


def _measured(record: Path) -> Mapping[tuple[str | None, int], RunRecord]:
    """Its whole runs that were attacked, by label and seed."""
    return {(run.label, run.seed): run for run in read_runs(record) if run.whole and run.attacked}


def _robust(run: RunRecord) -> float:
    return statistics.fmean(one.accuracy for one in run.attacked if one.attack.startswith("apgd-t@"))


def _missing(results: Path) -> Iterator[str]:
    for cell in CELLS:
        there = _measured(results / cell)
        for credit, seed in product(CREDITS, planned_seeds(results / cell) or _SEEDS):
            if (credit, seed) not in there:
                yield f"{cell}, {credit}, seed {seed}"

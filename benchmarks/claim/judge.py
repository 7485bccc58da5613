"""The judgement that PLAN.md describes, made of the records alone.

What has no record yet is left out, and the verdict says that it is missing.
"""

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from benchmarks.claim.records import Attacked, Epoch, RunRecord, planned_seeds, read_epochs, read_runs
from gauntlet.report.compared.published import PAPER
from gauntlet.results.intervals import holm, paired_p, student_interval

AUTOATTACK, APGD_T = "autoattack@8/255", "apgd-t@8/255"
# In the trial one run swung by two to three points between neighbouring epochs.
TOLERANCE = 0.03
_ALPHA = 0.05
_SAMPLED, _WHOLE_TEST_SET = 1_000, 10_000
_SMALL_GAP = 0.02
_EPOCHS = 220
_BASELINE, _REWARD = "cross_entropy", "policy_gradient"
# The paper's best checkpoint of cross-entropy.
_LOOP_EPOCH = 60
# The one seed that an earlier record has whole.
_BATCH_32 = Path(__file__).parents[1] / "reproduction/results/gpu/histories/cross_entropy-seed-0.csv"
_BEST = "at each one's best checkpoint by FGSM, AutoAttack"
_LAST = "at the last epoch, AutoAttack"
_EQUAL_NATURAL = "at equal natural accuracy, APGD-T"
_EQUAL_TRAIN = "at equal training accuracy, APGD-T"
_HELD_OUT = "at each one's best checkpoint by FGSM on held-out images, AutoAttack"
Answer = Literal["it holds", "it holds at equal accuracy only", "it does not hold", "not decided yet"]


@dataclass(frozen=True)
class Comparison:
    """Reward minus cross-entropy in robust accuracy, a fraction of the same images, for each seed that has both.

    `interval` is Student's t at 95 %, None for one seed; `p` is of the two-sided paired t-test, `adjusted_p` Holm's
    over the comparisons that it stands among. `suspect` are the seeds whose verdict on masked gradients is SUSPECT on
    the reward's.
    """

    name: str
    differences: dict[int, float]
    mean: float
    interval: tuple[float, float] | None
    p: float | None
    suspect: tuple[int, ...]
    adjusted_p: float | None = None

    @property
    def significant(self) -> bool:
        """Whether the reward is the more robust one, and chance does not explain it."""
        return self.mean > 0 and self.adjusted_p is not None and self.adjusted_p < _ALPHA

    @property
    def positive(self) -> bool:
        """Whether no masked gradient explains it either."""
        return self.significant and not self.suspect


@dataclass(frozen=True)
class Statement:
    """Something that the paper states: the figure that decides it for each seed, and the seeds of which it is true."""

    name: str
    figures: dict[int, float]
    true_of: tuple[int, ...]


@dataclass(frozen=True)
class TableRow:
    """A number of the paper's Table 1, a fraction, beside ours: by seed, of `n` images each, and their mean."""

    name: str
    published: float
    n: int
    by_seed: dict[int, float]
    mean: float
    passed: bool


@dataclass(frozen=True)
class Loop:
    """Cross-entropy in batches of `batch` after epoch 60, fractions of all test images, the mean over seeds.

    `distance` is how far it is from the paper's natural and FGSM accuracy there, both together.
    """

    batch: int
    seeds: tuple[int, ...]
    natural: float
    fgsm: float
    distance: float


@dataclass(frozen=True)
class Verdict:
    """All that the plan asks for, as far as it is measured; `missing` names the rest."""

    answer: Answer
    primary: tuple[Comparison, ...]
    replication: tuple[Comparison, ...]
    held_out: Comparison | None
    statements: tuple[Statement, ...]
    table: tuple[TableRow, ...]
    loops: tuple[Loop, ...]
    missing: tuple[str, ...]


@dataclass(frozen=True)
class _Pair:
    """Both objectives' runs of one seed; `early` are cross-entropy's first epochs, each with a checkpoint."""

    reward: RunRecord
    baseline: RunRecord
    early: RunRecord | None


@dataclass(frozen=True)
class _Robust:
    reward: float
    baseline: float
    suspect: bool = False


def judge(results: Path, batch_32: Path = _BATCH_32) -> Verdict:
    """Judge the records below `results`; `batch_32` is the history of cross-entropy in batches of 32."""
    early = {run.seed: run for name in ("early", "again-early") for run in read_runs(results / name)}
    main, again = (_pairs(read_runs(results / name), early) for name in ("main", "again"))
    ways: dict[str, Callable[[_Pair], _Robust | None]] = {
        _BEST: lambda pair: _robust(pair, RunRecord.best_on_test),
        _LAST: lambda pair: _robust(pair, lambda run: run.selected("last")),
        _EQUAL_NATURAL: lambda pair: _equally_accurate(pair, lambda epoch: epoch.natural),
        _EQUAL_TRAIN: lambda pair: _equally_accurate(pair, lambda epoch: epoch.train),
    }
    found = {name: _compared(name, main, way) for name, way in ways.items()}
    # These runs have training images held out, and the experiment selects by them.
    outside = _compared(_HELD_OUT, again, lambda pair: _robust(pair, lambda run: run.selected("best_fgsm")))
    repeated = {name: _compared(name, again, ways[name]) for name in (_BEST, _EQUAL_NATURAL)}
    missing = [name for name, comparison in found.items() if comparison is None]
    seeds = planned_seeds(results / "again")
    for name, comparison in (*repeated.items(), (_HELD_OUT, outside)):
        measured = comparison.differences if comparison else {}
        if not measured or set(seeds) - measured.keys():
            of = ", ".join(str(seed) for seed in seeds if seed not in measured)
            missing.append(f"on four other seeds: {name}" + (f" (seeds {of})" if measured else ""))
    primary = _adjusted([one for one in found.values() if one is not None])
    # A verdict on some of the seeds would be one on whatever had ended first.
    whole = all(one is not None and not set(seeds) - one.differences.keys() for one in repeated.values())
    replication = _adjusted([one for one in repeated.values() if one is not None]) if whole else []
    return Verdict(
        answer=_answer({comparison.name: comparison for comparison in primary}),
        primary=tuple(primary),
        replication=tuple(replication),
        held_out=outside,
        statements=tuple(_statements(main)),
        # Seeds of their own, each attacked on the whole test set.
        table=tuple(_table(main, again | _pairs(read_runs(results / "whole"), early))),
        loops=tuple(_loops(results, batch_32)),
        missing=tuple(missing),
    )


def _pairs(runs: Sequence[RunRecord], early: Mapping[int, RunRecord]) -> dict[int, _Pair]:
    by_kind = {(run.kind, run.seed): run for run in runs}
    seeds = sorted({run.seed for run in runs if {(_REWARD, run.seed), (_BASELINE, run.seed)} <= by_kind.keys()})
    return {seed: _Pair(by_kind[_REWARD, seed], by_kind[_BASELINE, seed], early.get(seed)) for seed in seeds}


def _robust(pair: _Pair, chosen: Callable[[RunRecord], Epoch | None]) -> _Robust | None:
    reward, baseline = (_attacked(run, chosen(run), AUTOATTACK) for run in (pair.reward, pair.baseline))
    if reward is None or baseline is None:
        return None
    return _Robust(reward.accuracy, baseline.accuracy, reward.masking == "SUSPECT")


def _attacked(run: RunRecord, epoch: Epoch | None, attack: str, n: int = _SAMPLED) -> Attacked | None:
    return None if epoch is None else run.under(attack, epoch.epoch, n)


def _equally_accurate(pair: _Pair, accuracy: Callable[[Epoch], float]) -> _Robust | None:
    """The reward's best checkpoint, and cross-entropy's robust accuracy where its own accuracy passed the reward's."""
    at, best = pair.reward.best_on_test(), pair.baseline.best_on_test()
    reward, masked = _attacked(pair.reward, at, APGD_T), _attacked(pair.reward, at, AUTOATTACK)
    if at is None or best is None or reward is None:
        return None
    rise: list[tuple[float, float]] = []
    for run in filter(None, (pair.early, pair.baseline)):
        for epoch in run.history[: best.epoch]:
            measured = _attacked(run, epoch, APGD_T)
            if measured and (not rise or accuracy(epoch) > rise[-1][0]):
                rise.append((accuracy(epoch), measured.accuracy))
    if not rise or not rise[0][0] <= accuracy(at) <= rise[-1][0]:
        return None
    accuracies, robust = zip(*rise, strict=True)
    baseline = float(np.interp(accuracy(at), accuracies, robust))
    return _Robust(reward.accuracy, baseline, masked is not None and masked.masking == "SUSPECT")


def _compared(
    name: str, pairs: Mapping[int, _Pair], robustness: Callable[[_Pair], _Robust | None]
) -> Comparison | None:
    found = {seed: robust for seed, pair in pairs.items() if (robust := robustness(pair)) is not None}
    if not found:
        return None
    differences = {seed: robust.reward - robust.baseline for seed, robust in found.items()}
    return Comparison(
        name=name,
        differences=differences,
        mean=statistics.fmean(differences.values()),
        interval=student_interval(list(differences.values())),
        p=paired_p(list(differences.values())),
        suspect=tuple(seed for seed, robust in found.items() if robust.suspect),
    )


def _adjusted(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """The same with p adjusted for all that have one."""
    tested = {position: one.p for position, one in enumerate(comparisons) if one.p is not None}
    adjusted = dict(zip(tested, holm(list(tested.values())), strict=True))
    return [replace(one, adjusted_p=adjusted.get(position)) for position, one in enumerate(comparisons)]


def _answer(primary: Mapping[str, Comparison]) -> Answer:
    best, equal = primary.get(_BEST), primary.get(_EQUAL_NATURAL)
    if best is None or equal is None or best.p is None or equal.p is None:
        return "not decided yet"
    if not equal.positive:
        return "it does not hold"
    return "it holds" if best.positive else "it holds at equal accuracy only"


def _statements(pairs: Mapping[int, _Pair]) -> Iterator[Statement]:
    whole = {
        seed: pair
        for seed, pair in pairs.items()
        if all(run.history[-1].epoch == _EPOCHS for run in (pair.reward, pair.baseline))
    }
    if not whole:
        return
    rises = {
        seed: _mean_fgsm(pair.reward, 200, 220) - _mean_fgsm(pair.reward, 100, 120) for seed, pair in whole.items()
    }
    yield _statement("the reward's FGSM accuracy rises to the end (epochs 201–220 minus 101–120)", rises, above=0)
    small = {seed: 1 - _share_of_wide_gaps(pair.reward) for seed, pair in whole.items()}
    yield _statement("the reward's gap is below 2 points most of the time (share of epochs)", small, above=0.5)
    wide = {seed: _share_of_wide_gaps(pair.baseline) for seed, pair in whole.items()}
    yield _statement("cross-entropy's gap is above 2 points most of the time (share of epochs)", wide, above=0.5)
    falls = {
        seed: best.accuracy - last.accuracy
        for seed, pair in whole.items()
        if (best := _attacked(pair.baseline, pair.baseline.selected("best_fgsm"), AUTOATTACK))
        and (last := _attacked(pair.baseline, pair.baseline.selected("last"), AUTOATTACK))
    }
    if falls:
        yield _statement("cross-entropy loses robustness as it trains on (AutoAttack, best minus last)", falls, above=0)


def _statement(name: str, figures: dict[int, float], *, above: float) -> Statement:
    return Statement(name, figures, tuple(seed for seed, figure in figures.items() if figure > above))


def _mean_fgsm(run: RunRecord, after: int, until: int) -> float:
    return statistics.fmean(epoch.fgsm for epoch in run.history if after < epoch.epoch <= until)


def _share_of_wide_gaps(run: RunRecord) -> float:
    # Rounded, so that a gap of exactly two points is none above two.
    return statistics.fmean(round(epoch.train - epoch.natural, 9) > _SMALL_GAP for epoch in run.history)


def _table(main: Mapping[int, _Pair], others: Mapping[int, _Pair]) -> Iterator[TableRow]:
    """AutoAttack on the whole test set is of whichever seeds have it; the other numbers are those of `main`."""
    for (kind, selection), published in PAPER.items():
        runs, further = (
            {seed: pair.reward if kind == _REWARD else pair.baseline for seed, pair in pairs.items()}
            for pairs in (main, others)
        )
        at, further_at = (
            {seed: epoch for seed, run in among.items() if (epoch := _published_at(run, selection)) is not None}
            for among in (runs, further)
        )
        name = f"{kind.replace('_', ' ')}, {selection.replace('_', ' ')}"
        natural = {seed: epoch.natural for seed, epoch in at.items()}
        yield from _row(f"{name}, natural", published.natural, _WHOLE_TEST_SET, natural)
        fgsm = {seed: epoch.fgsm for seed, epoch in at.items()}
        yield from _row(f"{name}, FGSM", published.fgsm, _WHOLE_TEST_SET, fgsm)
        whole = _under_autoattack(runs | further, at | further_at, _WHOLE_TEST_SET)
        yield from _row(f"{name}, AutoAttack", published.robust, _WHOLE_TEST_SET, whole)
        sampled = _under_autoattack(runs, at, _SAMPLED)
        yield from _row(f"{name}, AutoAttack", published.robust, _SAMPLED, sampled)


def _published_at(run: RunRecord, selection: str) -> Epoch | None:
    if selection == "best_fgsm":
        return run.best_on_test()
    return run.history[-1] if run.whole else None


def _under_autoattack(runs: Mapping[int, RunRecord], at: Mapping[int, Epoch], n: int) -> dict[int, float]:
    return {
        seed: found.accuracy
        for seed, epoch in at.items()
        if (found := _attacked(runs[seed], epoch, AUTOATTACK, n)) is not None
    }


def _row(name: str, published: float | None, n: int, by_seed: dict[int, float]) -> Iterator[TableRow]:
    if published is not None and by_seed:
        mean = statistics.fmean(by_seed.values())
        yield TableRow(name, published, n, by_seed, mean, passed=round(abs(mean - published), 9) <= TOLERANCE)


def _loops(results: Path, batch_32: Path) -> Iterator[Loop]:
    """Nearest to the paper first."""
    published = PAPER[_BASELINE, "best_fgsm"]
    assert published.natural is not None
    assert published.fgsm is not None
    histories = {
        batch: {run.seed: run.history for run in read_runs(results / name) if run.kind == _BASELINE}
        for batch, name in {64: "batch-64", 128: "main", 256: "batch-256"}.items()
    }
    if batch_32.exists():
        histories[32] = {0: tuple(read_epochs(batch_32))}
    found = []
    for batch, by_seed in histories.items():
        reached = {seed: epoch for seed, history in by_seed.items() for epoch in history if epoch.epoch == _LOOP_EPOCH}
        if reached:
            natural = statistics.fmean(epoch.natural for epoch in reached.values())
            fgsm = statistics.fmean(epoch.fgsm for epoch in reached.values())
            distance = abs(natural - published.natural) + abs(fgsm - published.fgsm)
            found.append(Loop(batch, tuple(sorted(reached)), natural, fgsm, distance))
    yield from sorted(found, key=lambda loop: loop.distance)

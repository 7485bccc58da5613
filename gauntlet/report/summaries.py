"""What several seeds say together: each objective's mean, and the objectives compared seed by seed."""

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from gauntlet.report.columns import attacked_right
from gauntlet.report.report_row import ReportRow
from gauntlet.results.accuracy import RightImages, right_count, right_in_all
from gauntlet.results.intervals import difference_interval, holm, mean_interval, paired_p
from gauntlet.spec.evaluations.evaluation import Selected

# Where values can lie: accuracies; differences of two, the gap among them; differences of two gaps.
ACCURACY, DIFFERENCE, GAP_DIFFERENCE = (0.0, 1.0), (-1.0, 1.0), (-2.0, 2.0)


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Estimate(_Value):
    """A mean over `n` seeds with their sample standard deviation, None for one seed.

    `interval` is of 95 % (`gauntlet.results.intervals.mean_interval`), None for one seed, or for equal ones.
    """

    n: int
    mean: float
    sd: float | None
    interval: tuple[float, float] | None

    @classmethod
    def of(cls, values: Sequence[float], scale: tuple[float, float], images: int = 10_000) -> "Estimate":
        """Estimate from at least one value; all lie in `scale`, accuracies were counted from so many images each."""
        sd = statistics.stdev(values) if len(values) > 1 else None
        interval = mean_interval(values, scale, images)
        return cls(n=len(values), mean=statistics.fmean(values), sd=sd, interval=interval)


class Summary(_Value):
    """One objective's checkpoints of one selection over its seeds, as fractions; `accuracies` by column."""

    objective: str
    selection: Selected
    seeds: tuple[int, ...]
    epochs: tuple[int, ...]
    train_accuracy: Estimate
    natural_accuracy: Estimate
    accuracies: dict[str, Estimate]
    generalisation_gap: Estimate


class PairedTest(_Value):
    """A two-sided paired t-test: its p, None where there is none, and Holm's for all tests of its question."""

    p: float | None
    p_adjusted: float | None


class Comparison(PairedTest):
    """An objective minus the baseline in one metric, a fraction, over the seeds that both have.

    `metric` is `natural_accuracy`, `generalisation_gap` or the key of the report's headline. There is no p with fewer
    than two seeds, or where every seed differs by the same. With one seed alone `image_interval` says what the test
    images tell of its accuracies: Newcombe's interval of their difference, of 95 % for the `image_interval_of` of the
    report's comparisons in this metric that have one together. None where an earlier version made it, by which each was
    of 95 % by itself. It is paired by image where `images_apart` says how many images only the objective, and only the
    baseline, is right on; where that is None the two are taken for two samples, for an earlier version measured one.
    """

    objective: str
    baseline: str
    selection: Selected
    metric: str
    seeds: tuple[int, ...]
    difference: Estimate
    image_interval: tuple[float, float] | None
    image_interval_of: int | None = Field(default=None, exclude_if=lambda together: together is None)
    images_apart: tuple[int, int] | None = Field(default=None, exclude_if=lambda apart: apart is None)


Tested = TypeVar("Tested", bound=PairedTest)
# An objective's row and the baseline's, by the seed that both have.
_Pairs = Mapping[int, tuple[ReportRow, ReportRow]]


def summaries(rows: Sequence[ReportRow]) -> Iterator[Summary]:
    """One summary for each objective and selection, in the order of the rows."""
    for (objective, selection), alike in _grouped(rows).items():
        images, train_images = min(row.n for row in alike), min(row.train_n for row in alike)
        yield Summary(
            objective=objective,
            selection=selection,
            seeds=tuple(row.seed for row in alike),
            epochs=tuple(row.epoch for row in alike),
            train_accuracy=Estimate.of([row.train_accuracy for row in alike], ACCURACY, train_images),
            natural_accuracy=Estimate.of([row.natural_accuracy for row in alike], ACCURACY, images),
            accuracies={
                key: Estimate.of([row.accuracies[key] for row in alike], ACCURACY, images)
                for key in alike[0].accuracies
            },
            generalisation_gap=Estimate.of([row.generalisation_gap for row in alike], DIFFERENCE),
        )


def comparisons(rows: Sequence[ReportRow], baseline: str, headline: str) -> tuple[Comparison, ...]:
    """Every other objective against `baseline`, for each selection, under attack first."""
    found = list(_unadjusted(rows, baseline, (headline, "natural_accuracy", "generalisation_gap")))
    return adjusted(found, lambda comparison: comparison.metric)


def adjusted(tests: Sequence[Tested], question: Callable[[Tested], str]) -> tuple[Tested, ...]:
    """The same with `p_adjusted`: Holm's, for as many tests with a p as answer the same question.

    One question is asked of all objectives and checkpoints, such as: which of them is more robust? Another question is
    not paid for, or who asks for more would see less.
    """
    places: dict[str, list[int]] = {}
    for place, test in enumerate(tests):
        if test.p is not None:
            places.setdefault(question(test), []).append(place)
    found: dict[int, float] = {}
    for alike in places.values():
        found |= zip(
            alike, holm([test.p for test in (tests[place] for place in alike) if test.p is not None]), strict=True
        )
    return tuple(test.model_copy(update={"p_adjusted": found.get(place)}) for place, test in enumerate(tests))


def metric(row: ReportRow, name: str) -> float:
    """A row's value of a comparison's metric, a fraction."""
    return float(row.accuracies[name] if name in row.accuracies else getattr(row, name))


def _unadjusted(rows: Sequence[ReportRow], baseline: str, metrics: Sequence[str]) -> Iterator[Comparison]:
    groups = {of: {row.seed: row for row in alike} for of, alike in _grouped(rows).items()}
    paired: dict[tuple[str, Selected], _Pairs] = {}
    for (objective, selection), ours in groups.items():
        theirs = groups.get((baseline, selection), {})
        pairs: _Pairs = {seed: (row, theirs[seed]) for seed, row in ours.items() if seed in theirs}
        if objective != baseline and pairs:
            paired[objective, selection] = pairs
    alone = sum(len(pairs) == 1 for pairs in paired.values())
    for (objective, selection), pairs in paired.items():
        for name in metrics:
            scale = GAP_DIFFERENCE if name == "generalisation_gap" else DIFFERENCE
            differences = [metric(one, name) - metric(other, name) for one, other in pairs.values()]
            of_images = _of_images(pairs, name, alone)
            yield Comparison(
                objective=objective,
                baseline=baseline,
                selection=selection,
                metric=name,
                seeds=tuple(pairs),
                difference=Estimate.of(differences, scale),
                p=paired_p(differences),
                p_adjusted=None,
                image_interval=of_images and of_images.interval,
                image_interval_of=None if of_images is None else alone,
                images_apart=of_images and of_images.apart,
            )


class _OfImages(NamedTuple):
    """What the test images tell of the difference between two rows."""

    interval: tuple[float, float]
    apart: tuple[int, int] | None


def _of_images(pairs: _Pairs, name: str, alone: int) -> _OfImages | None:
    """One of `alone` that have a single seed."""
    if len(pairs) > 1 or name == "generalisation_gap":
        return None
    ((one, other),) = pairs.values()
    ours, theirs = _right(one, name), _right(other, name)
    both = apart = None
    if ours is not None and theirs is not None and _same_images(one, other):
        both = right_count(right_in_all([ours, theirs]))
        apart = right_count(ours) - both, right_count(theirs) - both
    interval = difference_interval(metric(one, name), one.n, metric(other, name), other.n, together=alone, both=both)
    return _OfImages(interval, apart)


def _right(row: ReportRow, name: str) -> RightImages | None:
    return row.outcome.natural_right if name == "natural_accuracy" else attacked_right(row.outcome, name)


def _same_images(one: ReportRow, other: ReportRow) -> bool:
    first, second = (row.outcome.natural_protocol for row in (one, other))
    return (first.dataset_sha256, first.n) == (second.dataset_sha256, second.n)


def _grouped(rows: Sequence[ReportRow]) -> dict[tuple[str, Selected], list[ReportRow]]:
    """The rows of each objective and selection, in their order."""
    groups: dict[tuple[str, Selected], list[ReportRow]] = {}
    for row in rows:
        groups.setdefault((row.objective, row.selection), []).append(row)
    return groups

"""What several seeds say together: each objective's mean, and the objectives compared seed by seed."""

import statistics
from collections.abc import Iterator, Sequence
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict

from gauntlet.report.report_row import ReportRow
from gauntlet.results.intervals import mean_interval, paired_p
from gauntlet.spec.evaluation import Selection

Metric = Literal["train_accuracy", "natural_accuracy", "fgsm_accuracy", "autoattack_accuracy", "generalisation_gap"]
METRICS: tuple[Metric, ...] = get_args(Metric)


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Estimate(_Value):
    """A mean over `n` seeds with its sample standard deviation and 95 % Student-t interval, None for one seed."""

    n: int
    mean: float
    sd: float | None
    interval: tuple[float, float] | None

    @classmethod
    def of(cls, values: Sequence[float]) -> "Estimate":
        """Estimate from at least one value."""
        n = len(values)
        sd = statistics.stdev(values) if n > 1 else None
        return cls(n=n, mean=statistics.fmean(values), sd=sd, interval=mean_interval(values))


class Summary(_Value):
    """One objective's checkpoints of one selection over its seeds, as fractions; a metric not measured is None."""

    objective: str
    selection: Selection
    seeds: tuple[int, ...]
    epochs: tuple[int, ...]
    train_accuracy: Estimate
    natural_accuracy: Estimate
    fgsm_accuracy: Estimate | None
    autoattack_accuracy: Estimate | None
    generalisation_gap: Estimate


class Comparison(_Value):
    """An objective minus the baseline in one metric, a fraction, over the seeds that both have.

    `p` is of a two-sided paired t-test, not adjusted for how many comparisons there are; None with fewer than two
    seeds, or where every seed differs by the same.
    """

    objective: str
    baseline: str
    selection: Selection
    metric: Metric
    seeds: tuple[int, ...]
    difference: Estimate
    p: float | None


def summaries(rows: Sequence[ReportRow]) -> Iterator[Summary]:
    """One summary for each objective and selection, in the order of the rows."""
    for objective, selection in dict.fromkeys((row.objective, row.selection) for row in rows):
        alike = [row for row in rows if (row.objective, row.selection) == (objective, selection)]
        estimates = {metric: _estimate(alike, metric) for metric in METRICS}
        yield Summary(
            objective=objective,
            selection=selection,
            seeds=tuple(row.seed for row in alike),
            epochs=tuple(row.epoch for row in alike),
            **estimates,  # type: ignore[arg-type]  # only those that a row may lack are None
        )


def comparisons(rows: Sequence[ReportRow], baseline: str) -> Iterator[Comparison]:
    """Every other objective against `baseline`, for each selection and each metric that both were measured in."""
    for objective, selection in dict.fromkeys((row.objective, row.selection) for row in rows):
        if objective == baseline:
            continue
        ours, theirs = (_by_seed(rows, name, selection) for name in (objective, baseline))
        for metric in METRICS:
            pairs = {
                seed: (getattr(ours[seed], metric), getattr(theirs[seed], metric)) for seed in ours if seed in theirs
            }
            differences = {
                seed: one - other for seed, (one, other) in pairs.items() if one is not None and other is not None
            }
            if differences:
                yield Comparison(
                    objective=objective,
                    baseline=baseline,
                    selection=selection,
                    metric=metric,
                    seeds=tuple(differences),
                    difference=Estimate.of(list(differences.values())),
                    p=paired_p(list(differences.values())),
                )


def _estimate(rows: Sequence[ReportRow], metric: Metric) -> Estimate | None:
    values = [value for row in rows if (value := getattr(row, metric)) is not None]
    return Estimate.of(values) if values else None


def _by_seed(rows: Sequence[ReportRow], objective: str, selection: Selection) -> dict[int, ReportRow]:
    return {row.seed: row for row in rows if (row.objective, row.selection) == (objective, selection)}

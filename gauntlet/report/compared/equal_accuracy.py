"""Objectives compared where they have learned as much, to tell one that is more robust from one that is only slower.

An objective that learns slowly has a small generalisation gap whatever else it does. So each one is set beside the
epoch at which the baseline had the same accuracy, as if the baseline had been stopped early there.
"""

from collections.abc import Iterator, Sequence
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict

from gauntlet.report.curves import EpochAccuracies, RunCurve, measured_epochs
from gauntlet.report.summaries import DIFFERENCE, GAP_DIFFERENCE, Estimate, PairedTest, adjusted
from gauntlet.results.intervals import paired_p

Matched = Literal["train_accuracy", "test_accuracy"]
Moment = Literal["highest_fgsm", "last"]
_MATCHED: tuple[Matched, ...] = get_args(Matched)
# Two standard errors of an accuracy near one half on 10,000 images.
TOLERANCE = 0.01


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class EqualAccuracy(_Value):
    """An objective at one epoch of its training, and the baseline of the same seed when it was equally accurate.

    `moments` say which epoch: its last so far, that of its highest test FGSM accuracy, of equals the earliest, or both.
    The latter is chosen among all epochs and on the test set, whichever checkpoint the experiment selects.
    `baseline_at` is the epoch, of those until the baseline was most accurate in `equal_in`, whose accuracy is nearest,
    of equals the earliest; None where the nearest is more than `TOLERANCE` away: it was passed within an epoch, or
    never reached. An epoch at which a noisy baseline has fallen back to it since is none that stopped early.
    """

    objective: str
    baseline: str
    seed: int
    equal_in: Matched
    moments: tuple[Moment, ...]
    objective_at: EpochAccuracies
    baseline_at: EpochAccuracies | None


class EqualAccuracySummary(PairedTest):
    """What the seeds say together of an objective at its last epoch, and of the baseline when it was equally accurate.

    `seeds` are those whose baseline was so somewhere. The differences are the objective's minus the baseline's,
    fractions; the test is of the FGSM accuracies, adjusted for all objectives that were equal in the same. The epoch of
    the highest FGSM accuracy is not summed up: the highest of many is flattered, and the baseline's is not chosen so.
    """

    objective: str
    baseline: str
    equal_in: Matched
    seeds: tuple[int, ...]
    fgsm_difference: Estimate
    gap_difference: Estimate


def equal_accuracies(curves: Sequence[RunCurve], baseline: str) -> Iterator[EqualAccuracy]:
    """Every other objective against `baseline`, seed by seed, at equal train and at equal test accuracy."""
    histories = {(curve.objective, curve.seed): measured_epochs(curve) for curve in curves}
    for (objective, seed), history in histories.items():
        others = histories.get((baseline, seed))
        if objective == baseline or not history or not others:
            continue
        best, last = max(history, key=lambda found: found.test_fgsm_accuracy), history[-1]
        moments: dict[tuple[Moment, ...], EpochAccuracies] = (
            {("highest_fgsm", "last"): last} if best is last else {("highest_fgsm",): best, ("last",): last}
        )
        for equal_in in _MATCHED:
            for names, at in moments.items():
                yield EqualAccuracy(
                    objective=objective,
                    baseline=baseline,
                    seed=seed,
                    equal_in=equal_in,
                    moments=names,
                    objective_at=at,
                    baseline_at=_nearest(others, equal_in, getattr(at, equal_in)),
                )


def equal_accuracy_summaries(found: Sequence[EqualAccuracy], epochs: int) -> tuple[EqualAccuracySummary, ...]:
    """One summary for each objective and accuracy in which the baseline of some seed was equal.

    Only runs that were trained for all their `epochs` are summed up: one that ended early is at another effort.
    """
    return adjusted(list(_unadjusted(found, epochs)), lambda summary: summary.equal_in)


def _unadjusted(found: Sequence[EqualAccuracy], epochs: int) -> Iterator[EqualAccuracySummary]:
    groups: dict[tuple[str, Matched], list[EqualAccuracy]] = {}
    for one in found:
        groups.setdefault((one.objective, one.equal_in), []).append(one)
    for (objective, equal_in), alike in groups.items():
        pairs = {
            one.seed: (one.objective_at, one.baseline_at)
            for one in alike
            if "last" in one.moments and one.objective_at.epoch == epochs and one.baseline_at is not None
        }
        if pairs:
            fgsm = [ours.test_fgsm_accuracy - theirs.test_fgsm_accuracy for ours, theirs in pairs.values()]
            gaps = [ours.generalisation_gap - theirs.generalisation_gap for ours, theirs in pairs.values()]
            yield EqualAccuracySummary(
                objective=objective,
                baseline=found[0].baseline,
                equal_in=equal_in,
                seeds=tuple(pairs),
                fgsm_difference=Estimate.of(fgsm, DIFFERENCE),
                gap_difference=Estimate.of(gaps, GAP_DIFFERENCE),
                p=paired_p(fgsm),
                p_adjusted=None,
            )


def _nearest(history: Sequence[EpochAccuracies], field: Matched, accuracy: float) -> EpochAccuracies | None:
    accuracies = [float(getattr(found, field)) for found in history]
    rise = history[: accuracies.index(max(accuracies)) + 1]

    def distance(found: EpochAccuracies) -> float:
        # Rounded, so that equal distances are equal in floating point too.
        return round(abs(float(getattr(found, field)) - accuracy), 9)

    nearest = min(rise, key=distance)
    return nearest if distance(nearest) <= TOLERANCE else None

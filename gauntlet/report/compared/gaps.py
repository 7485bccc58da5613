"""How large the gap between training and test accuracy was while a run was trained.

arXiv 2012.04353 says that a reward keeps it below two points most of the time, and cross-entropy does not. A run that
learns slowly has a small gap whatever else it does: `gauntlet.report.compared.equal_accuracy` tells the two apart.
"""

import statistics
from collections.abc import Iterator, Sequence

from pydantic import BaseModel, ConfigDict

from gauntlet.report.curves import RunCurve, measured_epochs

# The paper's bound, a fraction.
SMALL_GAP = 0.02


class GapOverEpochs(BaseModel):
    """A run's gaps train − test, fractions, over all of its `epochs` that measured both.

    `small_epochs` counts those below `SMALL_GAP`; `widest_epoch` is the first with the `widest` gap.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    objective: str
    seed: int
    epochs: int
    small_epochs: int
    mean: float
    widest: float
    widest_epoch: int
    last: float


def gaps_over_epochs(curves: Sequence[RunCurve]) -> Iterator[GapOverEpochs]:
    """One for each run that has an epoch with all of its accuracies."""
    for curve in curves:
        # Rounded, so that a gap of exactly the bound is not below it, and equal gaps are equal.
        gaps = {found.epoch: round(found.generalisation_gap, 9) for found in measured_epochs(curve)}
        if gaps:
            widest_epoch = max(gaps, key=lambda epoch: gaps[epoch])
            yield GapOverEpochs(
                objective=curve.objective,
                seed=curve.seed,
                epochs=len(gaps),
                small_epochs=sum(gap < SMALL_GAP for gap in gaps.values()),
                mean=statistics.fmean(gaps.values()),
                widest=gaps[widest_epoch],
                widest_epoch=widest_epoch,
                last=gaps[max(gaps)],
            )

"""Exact one-sided binomial tests, with the standard library only."""

import math


def upper_tail(successes: int, trials: int, probability: float) -> float:
    """P(X ≥ successes) of a binomial X, its terms summed by their logarithms; 0 < probability < 1."""
    if successes <= 0:
        return 1.0
    log_yes, log_no = math.log(probability), math.log1p(-probability)
    return min(
        1.0,
        math.fsum(
            math.exp(
                math.lgamma(trials + 1)
                - math.lgamma(hits + 1)
                - math.lgamma(trials - hits + 1)
                + hits * log_yes
                + (trials - hits) * log_no
            )
            for hits in range(successes, trials + 1)
        ),
    )


def mcnemar_p(more: int, fewer: int) -> float:
    """The exact one-sided McNemar test (McNemar 1947): how likely `more` of more + fewer fair coins or still more are.

    The two count the images on which only one of two attacks succeeds; those on which both or neither do tell nothing.
    """
    return upper_tail(more, more + fewer, 0.5)

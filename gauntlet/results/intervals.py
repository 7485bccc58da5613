"""Intervals of what is estimated from a sample: of a proportion of images, of a mean over seeds."""

import math
import statistics
from collections.abc import Sequence

_Z_95 = 1.959963984540054


def wilson_interval(fraction: float, n: int, z: float = _Z_95) -> tuple[float, float]:
    """The 95 % score interval of a proportion of n (Wilson 1927, JASA 22); it stays inside [0, 1], and holds it.

    `z` is the normal distribution's point that it goes by, where it is not that of 95 %.
    """
    centre = fraction + z**2 / (2 * n)
    spread = z * math.sqrt(fraction * (1 - fraction) / n + z**2 / (4 * n**2))
    scale = 1 + z**2 / n
    # Of none and of all the end is the proportion itself, which rounding may miss by a last bit.
    return min(fraction, max(0.0, (centre - spread) / scale)), max(fraction, min(1.0, (centre + spread) / scale))


def lower_bound(right: int, n: int, alpha: float) -> float:
    """A proportion of n is at least this with the chance 1 − alpha (Clopper & Pearson 1934, Biometrika 26), exactly."""
    if right == 0:
        return 0.0
    from scipy.special import betaincinv  # a quarter of a second that the API need not wait for

    return float(betaincinv(right, n - right + 1, alpha))


def difference_interval(
    first: float, first_n: int, second: float, second_n: int, *, together: int = 1, both: int | None = None
) -> tuple[float, float]:
    """The 95 % interval of first − second, proportions of two samples (Newcombe 1998, Stat. Med. 17:873, method 10).

    Of one sample, looked at twice, `both` counts what is right in either (Newcombe 1998, Stat. Med. 17:2635, method
    10): the more the two agree, the narrower it is. Where it is one of several, `together`, each is as much wider as it
    takes for all of them to hold with 95 % (Bonferroni): whoever looks for the largest difference looks at all.
    """
    z = _Z_95 if together == 1 else statistics.NormalDist().inv_cdf(1 - 0.025 / together)
    (first_low, first_high), (second_low, second_high) = (
        wilson_interval(first, first_n, z),
        wilson_interval(second, second_n, z),
    )
    correlation = 0.0 if both is None else _correlation(round(first * first_n), round(second * first_n), both, first_n)

    def reach(of_first: float, of_second: float) -> float:
        return math.sqrt(max(0.0, of_first**2 - 2 * correlation * of_first * of_second + of_second**2))

    return (
        first - second - reach(first - first_low, second_high - second),
        first - second + reach(first_high - first, second - second_low),
    )


def _correlation(first: int, second: int, both: int, n: int) -> float:
    """Of two answers about the same n, of which so many are right in each and in both, corrected for continuity."""
    spread = first * (n - first) * second * (n - second)
    if spread == 0:
        return 0.0
    agreement = both * (n - first - second + both) - (first - both) * (second - both)
    return (max(agreement - n / 2, 0) if agreement > 0 else agreement) / math.sqrt(spread)


def student_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """The 95 % interval of the mean (Student 1908), mean ± t(n − 1) · sd / √n; None for fewer than two values."""
    n = len(values)
    if n < 2:  # noqa: PLR2004  # a spread needs two
        return None
    from scipy.special import stdtrit  # a quarter of a second that the API need not wait for

    mean = statistics.fmean(values)
    spread = float(stdtrit(n - 1, 0.975)) * statistics.stdev(values) / math.sqrt(n)
    return mean - spread, mean + spread


def mean_interval(values: Sequence[float], scale: tuple[float, float], n: int = 10_000) -> tuple[float, float] | None:
    """The 95 % interval of the mean of values that lie in `scale`, each counted from `n` images; it stays inside.

    Student's interval of their logits, z = log(y / (1 − y)), brought back: of accuracies as Lesaffre, Rizopoulos &
    Tsonaka 2007 (Biostatistics 8) do, and of differences, in (−1, 1), it is Fisher's z (1921). Close to the middle of
    the scale it is Student's own. Half an image is added at both ends, or none of n would be at −∞; of differences,
    which are far from them, n hardly matters.

    None where nothing is known of a spread: for fewer than two values, or for equal ones.
    """
    low, high = scale
    if _spread(values) == 0:
        return None
    shares = (((value - low) / (high - low) * n + 0.5) / (n + 1) for value in values)
    found = student_interval([math.log(share / (1 - share)) for share in shares])

    def back(logit: float) -> float:
        share = ((1 + math.tanh(logit / 2)) / 2 * (n + 1) - 0.5) / n
        return low + (high - low) * min(1.0, max(0.0, share))

    return found and (back(found[0]), back(found[1]))


def paired_p(differences: Sequence[float]) -> float | None:
    """The two-sided p of a paired t-test, from the pairs' differences.

    None where there is no such test: for fewer than two pairs, or where all differ by the same.
    """
    n = len(differences)
    deviation = _spread(differences)
    if deviation == 0:
        return None
    from scipy.special import stdtr  # as above

    t = statistics.fmean(differences) / (deviation / math.sqrt(n))
    return 2 * float(stdtr(n - 1, -abs(t)))


def holm(ps: Sequence[float]) -> list[float]:
    """The p values adjusted for their number (Holm 1979, Scand. J. Statist. 6), in the order given.

    The chance that any of those below 0.05 is there although nothing is behind it stays below 0.05.
    """
    adjusted = [1.0] * len(ps)
    highest = 0.0
    for rank, place in enumerate(sorted(range(len(ps)), key=lambda place: ps[place])):
        highest = max(highest, min(1.0, (len(ps) - rank) * ps[place]))
        adjusted[place] = highest
    return adjusted


def _spread(values: Sequence[float]) -> float:
    """The sample standard deviation, 0 for fewer than two values."""
    # Rounded, so that equal differences of fractions are equal in floating point too.
    return statistics.stdev(round(value, 9) for value in values) if len(values) > 1 else 0.0

"""Intervals of what is estimated from a sample: of a proportion of images, of a mean over seeds."""

import math
import statistics
from collections.abc import Sequence

_Z_95 = 1.959963984540054


def wilson_interval(fraction: float, n: int) -> tuple[float, float]:
    """The 95 % score interval of a proportion of n (Wilson 1927, JASA 22); it stays inside [0, 1]."""
    centre = fraction + _Z_95**2 / (2 * n)
    spread = _Z_95 * math.sqrt(fraction * (1 - fraction) / n + _Z_95**2 / (4 * n**2))
    scale = 1 + _Z_95**2 / n
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)


def difference_interval(first: float, first_n: int, second: float, second_n: int) -> tuple[float, float]:
    """The 95 % interval of first − second, proportions of two samples (Newcombe 1998, Stat. Med. 17, method 10)."""
    (first_low, first_high), (second_low, second_high) = (
        wilson_interval(first, first_n),
        wilson_interval(second, second_n),
    )
    return (
        first - second - math.hypot(first - first_low, second_high - second),
        first - second + math.hypot(first_high - first, second - second_low),
    )


def mean_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """The 95 % interval of the mean (Student 1908), mean ± t(n − 1) · sd / √n; None for fewer than two values."""
    n = len(values)
    if n < 2:  # noqa: PLR2004  # a spread needs two
        return None
    from scipy.special import stdtrit  # a quarter of a second that the API need not wait for

    mean = statistics.fmean(values)
    spread = float(stdtrit(n - 1, 0.975)) * statistics.stdev(values) / math.sqrt(n)
    return mean - spread, mean + spread


def paired_p(differences: Sequence[float]) -> float | None:
    """The two-sided p of a paired t-test, from the pairs' differences.

    None where there is no such test: for fewer than two pairs, or where all differ by the same.
    """
    # Rounded, so that equal differences of fractions are equal in floating point too.
    differences = [round(difference, 9) for difference in differences]
    n = len(differences)
    deviation = statistics.stdev(differences) if n > 1 else 0.0
    if deviation == 0:
        return None
    from scipy.special import stdtr  # as above

    t = statistics.fmean(differences) / (deviation / math.sqrt(n))
    return 2 * float(stdtr(n - 1, -abs(t)))

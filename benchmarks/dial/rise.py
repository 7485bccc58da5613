"""Where cross-entropy is compared with others: while its natural accuracy rises."""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

T = TypeVar("T")


def rising_part(kept: Iterable[T], natural: Callable[[T], float]) -> list[T]:
    """Those of `kept`, given in the order of their epochs, that are more accurate than every one before."""
    rise: list[T] = []
    for one in kept:
        if not rise or natural(one) > natural(rise[-1]):
            rise.append(one)
    return rise


def around(rise: Sequence[T], accuracy: float, natural: Callable[[T], float]) -> list[T]:
    """The two of a rising part between which an accuracy lies, the one that has it, or none where it lies outside."""
    below = [one for one in rise if natural(one) <= accuracy]
    above = [one for one in rise if natural(one) >= accuracy]
    if not below or not above:
        return []
    return [below[-1]] if below[-1] is above[0] else [below[-1], above[0]]

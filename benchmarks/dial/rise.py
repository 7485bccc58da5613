"""Where cross-entropy is compared with others: while its natural accuracy rises."""

from collections.abc import Callable, Iterable
from typing import TypeVar

T = TypeVar("T")


def rising_part(kept: Iterable[T], natural: Callable[[T], float]) -> list[T]:
    """Those of `kept`, given in the order of their epochs, that are more accurate than every one before."""
    rise: list[T] = []
    for one in kept:
        if not rise or natural(one) > natural(rise[-1]):
            rise.append(one)
    return rise

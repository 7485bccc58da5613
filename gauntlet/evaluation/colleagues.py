"""Who else works on the same evaluation: what a sweep over its images asks of them.

A batch is computed by one of them, and each learns what the others found. So whoever computes it, an evaluation is made
of the same batches, each begun from the same random numbers.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Protocol

from gauntlet.events import BatchAttacked


class Colleagues(Protocol):
    """The others. Batches are known by their stage and their number in it."""

    @property
    def keeps_pictures(self) -> bool:
        """Whether batches whose pictures are kept are computed here; else they are left to others."""

    def look(self) -> Iterable[BatchAttacked]:
        """What others finished and nobody was told of yet. Called often."""

    def take(self, stage: str, numbers: Sequence[int], most: int) -> Collection[int]:
        """Those of the batches, at most so many, that are to be computed here: none that others have, or did."""

    def wait(self) -> None:
        """Return after a while: all that is left now is being computed by others. May raise to end the evaluation."""


class Alone:
    """Nobody else: every batch is computed here."""

    keeps_pictures = True

    def look(self) -> Iterable[BatchAttacked]:
        """Nobody found anything."""
        return ()

    def take(self, _stage: str, numbers: Sequence[int], _most: int) -> Collection[int]:
        """All of them."""
        return numbers

    def wait(self) -> None:
        """There is nobody to wait for."""
        raise AssertionError("Whoever works alone never waits.")

"""The order in which an environment shows its images: shuffled passes, each image once in each."""

import numpy as np
from numpy.typing import NDArray


class ShuffledPasses:
    """An endless run through `count` positions, reshuffled after each pass."""

    def __init__(self, count: int, random: np.random.Generator) -> None:
        self._count = count
        self._random = random
        self._left: NDArray[np.int64] = np.empty(0, dtype=np.int64)

    def take(self, count: int) -> NDArray[np.int64]:
        """The next positions, int64 [count]; they may end one pass and begin another.

        Then the older pass' come last: where the slots of a batch play so many episodes together, as for
        Stable-Baselines3's `evaluate_policy`, the last slots play one more.
        """
        parts: list[NDArray[np.int64]] = []
        missing = count
        while missing:
            if not len(self._left):
                self._left = self._random.permutation(self._count)
            parts.insert(0, self._left[:missing])
            missing -= len(parts[0])
            self._left = self._left[len(parts[0]) :]
        return np.concatenate(parts)

    def put_back(self, positions: NDArray[np.int64]) -> None:
        """Let positions that were taken, int64 [m], come again, after those that are left of their pass."""
        self._left = np.concatenate([self._left, positions])

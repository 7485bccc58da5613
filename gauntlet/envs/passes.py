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
        """The next positions, int64 [count]; they may end one pass and begin another."""
        while len(self._left) < count:
            self._left = np.concatenate([self._left, self._random.permutation(self._count)])
        taken, self._left = self._left[:count], self._left[count:]
        return taken

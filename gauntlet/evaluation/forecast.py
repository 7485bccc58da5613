"""How many model passes an evaluation's attacks still take, as far as can be said before."""

from collections.abc import Sequence


class Forecast:
    """Counts what is done of each segment of the images: a segment goes through all attacks before the next begins.

    An image that falls spares what an ensemble has left for it. What is left of a segment that has begun is counted
    whole, since the images that are left there are those that did not fall. One that has not begun is taken to spare as
    much as the finished ones did; before one is finished, nothing.

    Args:
        sizes: images of each segment.
        price: model passes of an image that never falls.
    """

    def __init__(self, sizes: Sequence[int], price: int) -> None:
        self._bounds = [size * price for size in sizes]
        self._passes = [0] * len(sizes)
        self._progress = [0] * len(sizes)

    def note(self, segment: int, passes: int, progress: int) -> None:
        """A batch of the segment takes so many passes, and brings so many behind us with those that it spares."""
        self._passes[segment] += passes
        self._progress[segment] += progress

    def left(self) -> float:
        """Model passes."""
        counted = list(zip(self._bounds, self._passes, self._progress, strict=True))
        finished = [(bound, passes) for bound, passes, progress in counted if 0 < bound <= progress]
        share = sum(passes for _, passes in finished) / sum(bound for bound, _ in finished) if finished else 1.0
        return sum(max(bound - progress, 0) if progress else share * bound for bound, _, progress in counted)

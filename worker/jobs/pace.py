"""How long a job still takes."""

import time


class Pace:
    """Remaining time at this attempt's own speed."""

    def __init__(self, completed: int) -> None:
        self._from = completed
        self._since = time.monotonic()

    def eta_s(self, completed: int, total: int) -> float | None:
        done = completed - self._from
        if done == 0:
            return None
        return (time.monotonic() - self._since) / done * (total - completed)


class SparingPace:
    """Remaining time where what is done may spare some of what is left, as an image that an attack breaks does.

    At first it is a bound: nothing of what is left is spared. Once `sample`, a share of the whole, is through to its
    end, what is left is taken to be spared as much as that was.
    """

    def __init__(self, sample: float) -> None:
        self._sample = sample
        self._seconds, self._passes, self._progress = 0.0, 0, 0

    def note(self, seconds: float, passes: int, progress: int) -> None:
        """A part of so many passes took so long, and brought so much of the whole behind us."""
        self._seconds += seconds
        self._passes += passes
        self._progress += progress

    def eta_s(self, completed: int, total: int) -> float | None:
        """Seconds that are left; None before there is a measure."""
        if self._passes == 0:
            return None
        measure = self._progress if self._progress >= self._sample * total else self._passes
        return self._seconds / measure * (total - completed)

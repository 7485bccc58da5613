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

"""How much memory the API's and the workers' own processes take, and whether it grows while they live."""

import threading
import time
from typing import Any

from tests.faults.soak.parts import Parts, Process, resident_bytes

_LOOK_EVERY_S = 5.0
# Until then libraries are loaded and connections made.
_SETTLED_AFTER_S = 60.0
_MB = 1e6
_KINDS = ("api", "worker", "fork server")


class Memory:
    """Looks from another thread."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._seen: dict[Process, list[tuple[float, int]]] = {}
        self._most: dict[str, int] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look_on, name="memory")

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._over.set()
        self._thread.join()

    def _look_on(self) -> None:
        while not self._over.wait(_LOOK_EVERY_S):
            now = time.monotonic()
            for process in self._parts.alive():
                taken = resident_bytes(process)
                if taken is None:
                    continue
                self._most[process.kind] = max(taken, self._most.get(process.kind, 0))
                if process.kind in _KINDS:
                    self._seen.setdefault(process, []).append((now, taken))

    def shown(self) -> dict[str, Any]:
        """Of each kind the most, and the slope within its processes' lives, all of them together."""
        found: dict[str, Any] = {"most_mb": {kind: round(most / _MB) for kind, most in sorted(self._most.items())}}
        for kind in _KINDS:
            lives = [
                [(at, taken) for at, taken in list(points) if at - points[0][0] > _SETTLED_AFTER_S]
                for process, points in list(self._seen.items())
                if process.kind == kind
            ]
            found[kind] = _growth([life for life in lives if len(life) > 1])
        return found


def _growth(lives: list[list[tuple[float, int]]]) -> dict[str, Any]:
    """The one slope that fits all lives best, each from a level of its own."""
    upper = lower = 0.0
    for life in lives:
        mean_at = sum(at for at, _ in life) / len(life)
        mean_taken = sum(taken for _, taken in life) / len(life)
        upper += sum((at - mean_at) * (taken - mean_taken) for at, taken in life)
        lower += sum((at - mean_at) ** 2 for at, _ in life)
    return {
        "lives": len(lives),
        "observed_s": round(sum(life[-1][0] - life[0][0] for life in lives)),
        "longest_s": round(max((life[-1][0] - life[0][0] for life in lives), default=0)),
        "mb_per_hour": round(upper / lower * 3_600 / _MB, 1) if lower else None,
    }

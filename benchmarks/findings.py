"""What is measured on a machine that is lent for minutes: written as it is found, and found again by the next start."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


class Findings:
    """What was found so far, in a file; and how much time is left.

    With `resume` what an earlier start found is kept and not measured again; what failed or was left out then, is.
    """

    def __init__(self, path: Path, seconds: float, *, resume: bool = False) -> None:
        self._path, self._seconds, self._started = path, seconds, time.perf_counter()
        self.found: dict[str, Any] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        if resume and path.exists():
            before = json.loads(path.read_text())
            self.found = {name: one for name, one in before.items() if isinstance(one, dict) and "found" in one}

    @property
    def spent(self) -> float:
        """Seconds since the start."""
        return time.perf_counter() - self._started

    @property
    def left(self) -> float:
        """Seconds until no more is begun."""
        return self._seconds - self.spent

    def add(self, name: str, measure: Callable[[], Any], *, needs: float = 0.3) -> Any:
        """Measure and write; None where that failed or where there is no time."""
        if name in self.found and "found" in self.found[name]:
            return self.found[name]["found"]
        before, result = self.spent, None
        if before + needs > self._seconds:
            self.found[name] = {"skipped": f"{before:.1f} of {self._seconds:.0f} s are spent"}
        else:
            try:
                result = measure()
                self.found[name] = {"found": result, "took": round(self.spent - before, 2)}
            except Exception as error:  # noqa: BLE001  # a way that does not work is a finding
                self.found[name] = {"error": f"{type(error).__name__}: {str(error)[:2000]}"}
        self._path.write_text(json.dumps(self.found | {"seconds": round(self.spent, 2)}, indent=1) + "\n")
        print(f"{self.spent:6.2f} s  {name}: {str(self.found[name])[:150]}", flush=True)
        return result

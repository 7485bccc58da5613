"""Places where a test can kill the process: `GAUNTLET_FAILPOINT=name:n` ends it, by SIGKILL, at the n-th arrival."""

import os
import signal
from collections import Counter

_arrivals: Counter[str] = Counter()


def reach(name: str) -> None:
    """Mark a place in the code; does nothing unless the environment names it."""
    chosen, _, count = os.environ.get("GAUNTLET_FAILPOINT", "").partition(":")
    if chosen != name:
        return
    _arrivals[name] += 1
    if _arrivals[name] == int(count or 1):
        os.kill(os.getpid(), signal.SIGKILL)

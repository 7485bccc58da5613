"""Whether what the tests write may lie in memory: a disk waits each time it is told to keep something.

It is told so tens of thousands of times by databases, states and files, and only a machine that goes down needs it.
"""

import os
from pathlib import Path

_MEMORY = Path("/dev/shm")
_ENOUGH = 4 << 30


def memory() -> Path | None:
    """A folder in memory with room for one run of the tests, None where there is none."""
    if not os.access(_MEMORY, os.W_OK):
        return None
    about = os.statvfs(_MEMORY)
    # It may be larger than what the machine has left. PostgreSQL's programs are copied there, and run.
    roomy = min(about.f_bavail * about.f_frsize, _left()) >= _ENOUGH and not about.f_flag & os.ST_NOEXEC
    return _MEMORY if roomy else None


def _left() -> int:
    told = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    return int(told["MemAvailable"].split()[0]) << 10

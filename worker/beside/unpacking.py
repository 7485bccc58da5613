"""`python -m worker.beside.unpacking`: the process that makes an archive a data set, without torch or database.

It is told what to do in a line of JSON: {"archive", "folder", "name", "draw", "bounds", "memory", "seconds"}. It tells
how far it is, {"progress": [phase, completed, total]}, at most twice a second, and in the end {"made": contents},
{"refused": sentence}, {"storage": sentence, "errno": number, "path": path or null} or {"failed": trace}. It ends with
its parent.
"""

import ctypes
import json
import os
import resource
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any, TextIO

from gauntlet.data.uploads.bounds import Bounds
from gauntlet.data.uploads.taking_in import take_in
from gauntlet.errors import ArchiveRefused
from gauntlet.spec.asked.uploads import SplitDraw

_PR_SET_PDEATHSIG = 1
_TELL_EVERY_S = 0.5
_NICENESS = 10
_LONGEST_TRACE = 4_000


def main(orders: TextIO, answers: TextIO) -> None:
    """Do what the first line says."""
    order = json.loads(orders.readline())
    _end_with_parent()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_DATA, (order["memory"], order["memory"]))
    # The kernel ends the process by SIGXCPU when it has computed for so long, whatever it is at.
    resource.setrlimit(resource.RLIMIT_CPU, (order["seconds"], order["seconds"] + 5))
    # Jobs are measured by how fast they are.
    os.nice(_NICENESS)
    _tell(answers, _answer(order, _Teller(answers)))


class _Teller:
    """Tells how far it is, and not too often."""

    def __init__(self, answers: TextIO) -> None:
        self._answers = answers
        self._told = 0.0

    def __call__(self, phase: str, completed: int, total: int) -> None:
        if time.monotonic() - self._told >= _TELL_EVERY_S:
            self._told = time.monotonic()
            _tell(self._answers, {"progress": [phase, completed, total]})


def _answer(order: dict[str, Any], tell: _Teller) -> dict[str, Any]:
    draw = None if order["draw"] is None else SplitDraw.model_validate(order["draw"])
    folder = Path(order["folder"])
    try:
        made = take_in(Path(order["archive"]), folder, order["name"], draw, Bounds(**order["bounds"]), tell)
        # File by file it would take 5 ms each (measured; 5,000 together 0.4 s).
        os.sync()
    except ArchiveRefused as error:
        return {"refused": str(error)}
    except MemoryError:
        return {"refused": f"The archive takes more than {order['memory'] >> 20} MiB of memory to be read."}
    except OSError as error:
        path = None if error.filename is None else str(error.filename)
        return {"storage": error.strerror or type(error).__name__, "errno": error.errno, "path": path}
    except Exception:  # noqa: BLE001  # it is told to the process that can log it
        return {"failed": traceback.format_exc()[-_LONGEST_TRACE:]}
    return {"made": made.model_dump(mode="json")}


def _end_with_parent() -> None:
    """Ask Linux to end this process with its parent; no thread would, while C code holds the interpreter."""
    libc = ctypes.CDLL(None, use_errno=True)
    if hasattr(libc, "prctl"):
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _tell(answers: TextIO, what: dict[str, Any]) -> None:
    answers.write(json.dumps(what) + "\n")
    answers.flush()


if __name__ == "__main__":
    main(sys.stdin, sys.stdout)

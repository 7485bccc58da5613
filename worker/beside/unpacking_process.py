"""The process that unpacks (`worker.beside.unpacking`), as its worker holds it."""

import json
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from worker.forked import NotStarted


@contextmanager
def at_work(order: dict[str, Any]) -> Iterator["subprocess.Popen[str]"]:
    """The process, at work on its order; ended with the block.

    Raises:
        NotStarted: there is none.
    """
    with _started() as process:
        try:
            # One that has ended by now tells so by how.
            with suppress(BrokenPipeError):
                _give(process, order)
            yield process
        finally:
            process.kill()


def _started() -> "subprocess.Popen[str]":
    try:
        return subprocess.Popen(
            [sys.executable, "-m", "worker.beside.unpacking"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # Libraries would write there what is wrong with a file, as often as an archive holds one.
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
        )
    except OSError as error:
        raise NotStarted(error.strerror or type(error).__name__) from error


def _give(process: "subprocess.Popen[str]", order: dict[str, Any]) -> None:
    assert process.stdin is not None
    # Closed as well: what could not be written would be tried again where the process is waited for.
    with process.stdin as orders:
        orders.write(json.dumps(order) + "\n")


def told_by(process: "subprocess.Popen[str]") -> "queue.Queue[dict[str, Any] | None]":
    """What the process tells, as it comes; None at its end.

    Raises:
        NotStarted: there is no room for a thread that listens.
    """
    told: queue.Queue[dict[str, Any] | None] = queue.Queue()
    lines = process.stdout
    assert lines is not None

    def read() -> None:
        for line in lines:
            told.put(json.loads(line))
        told.put(None)

    try:
        threading.Thread(target=read, name="unpacking", daemon=True).start()
    except RuntimeError as error:
        # Python has no other for it.
        raise NotStarted(str(error)) from error
    return told


def why_it_ended(code: int, seconds: int) -> dict[str, Any]:
    """What it would have answered, had it not ended without a word."""
    if code == -signal.SIGXCPU:
        return {"refused": f"The archive takes more than {seconds} s of a processor to unpack and read."}
    if code in (-signal.SIGSEGV, -signal.SIGABRT, -signal.SIGBUS):
        return {"refused": "The archive holds a damaged picture: what decodes it broke down."}
    return {"lost": f"its process ended with {code}"}

"""Orders to end a process: files `place:arrival:anything` in a folder, each of which is carried out once.

A process that comes to a place for the n-th time looks for an order of that name, or of the next arrival whichever it
is, and is ended by SIGKILL if it was the one to take it. So no process is ended twice by one order, however many wait
at the place.
"""

import multiprocessing
import os
import secrets
import signal
from collections import Counter
from collections.abc import Callable, Collection
from pathlib import Path

from store import failpoints

_CARRIED_OUT = "carried-out"
NEXT = 0


def order(folder: Path, place: str, arrival: int = 1) -> None:
    """Have the first process that comes to the place for so many times end there."""
    (folder / _CARRIED_OUT).mkdir(parents=True, exist_ok=True)
    (folder / f"{place}:{arrival}:{secrets.token_hex(8)}").touch()


def carried_out(folder: Path) -> list[str]:
    """The places where a process was ended, once for each time."""
    return [file.name.partition(":")[0] for file in (folder / _CARRIED_OUT).iterdir()]


def ordered(folder: Path, places: Collection[str] | None = None) -> list[Path]:
    """The orders that nobody has carried out: of these places, or all."""
    return [file for file in folder.glob("*:*") if places is None or file.name.partition(":")[0] in places]


def withdraw(folder: Path, places: Collection[str] | None = None) -> None:
    """Take them back."""
    for file in ordered(folder, places):
        file.unlink(missing_ok=True)


def arm(folder: Path) -> None:
    """Have this process, and those that it forks, follow the orders in the folder."""
    arrivals: Counter[str] = Counter()

    def reach(name: str) -> None:
        arrivals[name] += 1
        for file in (*folder.glob(f"{name}:{arrivals[name]}:*"), *folder.glob(f"{name}:{NEXT}:*")):
            try:
                file.rename(folder / _CARRIED_OUT / file.name)
            except FileNotFoundError:
                continue
            os.kill(os.getpid(), signal.SIGKILL)

    failpoints.reach = reach


def ended_at(folder: Path, place: str, arrival: int, work: Callable[[], None]) -> bool:
    """Do work in a forked process that is to end at a place; whether it came there. Else it must come to its end."""
    order(folder, place, arrival)

    def do() -> None:
        arm(folder)
        work()

    process = multiprocessing.get_context("fork").Process(target=do)
    process.start()
    process.join()
    withdraw(folder)
    assert process.exitcode in (0, -signal.SIGKILL), f"the process that was to end at {place} failed"
    return process.exitcode == -signal.SIGKILL

"""A process beside the measured one, which asks its `/healthz` all the time and looks at its memory.

It goes before all others where it may, as root.
"""

import contextlib
import http.client
import multiprocessing
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from multiprocessing.connection import Connection
from pathlib import Path

_EVERY_S = 0.01
_MEMORY_EVERY = 5  # questions


@dataclass
class Spell:
    """What was seen between two looks: how long each answer took, how late the asker was woken, bytes resident."""

    waits_ms: list[float] = field(default_factory=list)
    woken_late_ms: list[float] = field(default_factory=list)
    failures: int = 0
    api_bytes: int = 0
    helpers_bytes: int = 0
    together_bytes: int = 0


class Watch:
    """The other end of the process that watches."""

    def __init__(self, line: Connection) -> None:
        self._line = line

    def look(self) -> Spell:
        """What was seen since the last look."""
        self._line.send(True)
        spell: Spell = self._line.recv()
        return spell


@contextmanager
def watching(port: int, pid: int) -> Iterator[Watch]:
    """Watch a service for as long as the block lasts."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_watch, args=(port, pid, theirs), daemon=True)
    process.start()
    try:
        yield Watch(ours)
    finally:
        ours.send(False)
        process.join()


def _watch(port: int, pid: int, line: Connection) -> None:
    # So that what is measured is when the service answers, and not when its asker is woken, which waited for up to
    # 38 ms beside those who send. It computes for a fiftieth of the time.
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    spell, connection = Spell(), None
    due = time.perf_counter()
    asked = 0
    while True:
        if line.poll():
            if not line.recv():
                return
            line.send(spell)
            spell = Spell()
            due = time.perf_counter()
        due = max(due + _EVERY_S, time.perf_counter())
        time.sleep(max(0.0, due - time.perf_counter()))
        began = time.perf_counter()
        spell.woken_late_ms.append((began - due) * 1e3)
        try:
            if connection is None:
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
            connection.request("GET", "/healthz")
            answer = connection.getresponse()
            answer.read()
            if answer.status != HTTPStatus.OK:
                spell.failures += 1
        except (OSError, http.client.HTTPException):
            spell.failures += 1
            if connection is not None:
                connection.close()
            connection = None
        spell.waits_ms.append((time.perf_counter() - began) * 1e3)
        asked += 1
        if asked % _MEMORY_EVERY == 0:
            _weigh(spell, pid)


def _weigh(spell: Spell, pid: int) -> None:
    api = resident(pid)
    helpers = sum(map(resident, _below(pid)))
    spell.api_bytes = max(spell.api_bytes, api)
    spell.helpers_bytes = max(spell.helpers_bytes, helpers)
    spell.together_bytes = max(spell.together_bytes, api + helpers)


def resident(pid: int) -> int:
    """The bytes of memory that a process has; 0 of one that is gone."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    return 0


def _below(pid: int) -> list[int]:
    found = []
    # Helpers are started by any of its threads.
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += [int(child) for child in children.read_text(encoding="ascii").split()]
    return found

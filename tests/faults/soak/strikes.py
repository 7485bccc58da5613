"""Every 20 seconds one process, of a kind and of it one drawn by chance, is killed or stopped for a while."""

import random
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from store.database import Database
from store.models import Dataset
from store.queue.jobs import ACTIVE, JOB_MODELS, MOST_CRASHES
from tests.faults.soak.parts import Parts, Process, send

EVERY_S = 20.0
# The third crash in a row without getting further fails a job, and rightly: such a one is left alone until it did.
_SPARED_FROM = MOST_CRASHES - 1
_LOOK_AGAIN_S = 0.5
# Of three strikes two kill; a stop ends before, at or after a lease.
_KILLS = 2 / 3
STOPPED_S = (1.0, 14.0)
# How likely each kind is beside others that live; what is not here is one.
_LIKELY = {"job": 4, "worker": 3, "api": 2, "fork server": 2, "broker": 2, "database session": 2, "unpacker": 2}
# Once in so many times a worker goes with all its processes.
_MACHINES = 1 / 3


class Striker:
    """Strikes from another thread; `strikes` has what it did, and when (seconds since the beginning)."""

    def __init__(
        self, parts: Parts, database: Database, chance: random.Random, tell: Callable[[], None], every_s: float
    ) -> None:
        self._parts, self._database, self._chance, self._tell = parts, database, chance, tell
        self._every_s = every_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._strike_on, name="striker")
        self._began = time.monotonic()
        self.strikes: list[dict[str, Any]] = []
        self.held_back_s = 0.0

    def start(self) -> None:
        """Begin."""
        self._began = time.monotonic()
        self._thread.start()

    def stop(self) -> None:
        """End; whoever is stopped goes on."""
        self._over.set()
        self._thread.join()

    def _strike_on(self) -> None:
        while not self._over.wait(self._every_s - (time.monotonic() - self._began) % self._every_s):
            while self._must_hold_back() and not self._over.is_set():
                self.held_back_s += _LOOK_AGAIN_S
                time.sleep(_LOOK_AGAIN_S)
            self._strike()
            self._tell()

    def _must_hold_back(self) -> bool:
        try:
            with self._database.reading() as session:
                return any(
                    session.scalar(
                        select(model.id).where(model.status.in_(statuses), model.crashes >= _SPARED_FROM).limit(1)
                    )
                    for model, statuses in (
                        *((model, ACTIVE) for model in JOB_MODELS.values()),
                        (Dataset, ("unpacking",)),
                    )
                )
        except DBAPIError:
            return True

    def _strike(self) -> None:
        by_kind: dict[str, list[Process]] = {}
        for process in self._parts.alive():
            by_kind.setdefault(process.kind, []).append(process)
        kinds = sorted(by_kind)
        (kind,) = self._chance.choices(kinds, [_LIKELY.get(kind, 1) for kind in kinds])
        victim = self._chance.choice(by_kind[kind])
        kills = self._chance.random() < _KILLS
        seconds = round(self._chance.uniform(*STOPPED_S), 1)
        struck = [victim]
        if kind == "worker" and self._chance.random() < _MACHINES:
            struck, kind = self._parts.group_of(victim), "worker with all its processes"
        at = round(time.monotonic() - self._began, 1)
        hit = [process for process in struck if send(process, signal.SIGKILL if kills else signal.SIGSTOP)]
        if not hit:
            # It had ended by itself.
            return
        self.strikes.append({"at_s": at, "kind": kind, "done": "killed" if kills else f"stopped for {seconds} s"})
        if not kills:
            self._over.wait(seconds)
            for process in hit:
                send(process, signal.SIGCONT)

"""What one attempt, or helper, tells of itself as spans, of which there are few however long it takes."""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from sqlalchemy.orm import Session

from store.database import Database
from store.queue.helpers import Help
from store.queue.jobs import Claim
from store.traces import attempts
from store.traces.spans import Attributes, Span, below
from worker.spans import Tell

logger = logging.getLogger(__name__)

_NOTHING: Final[Attributes] = MappingProxyType({})
# Of what an attempt does again and again each of the first eight has a span, each of the next eight spans is of two of
# them, then of four, and so on: 220 epochs have 39 spans, a million 136.
_OF_ONE_SIZE: Final = 8


@dataclass
class _Part:
    """Something that was done within a unit, or in several of them: so many times, and for so long in all."""

    began: float
    ended: float = 0.0
    times: int = 0
    busy_s: float = 0.0


@dataclass
class _Stretch:
    """Units in a row that have one span, with one for each kind of part."""

    began: float
    labels: list[str | int] = field(default_factory=list)
    units: int = 0
    parts: dict[str, _Part] = field(default_factory=dict)


class Course:
    """What an attempt goes through; costs nothing without `tell`, or where its job is in no trace.

    No span is worth a job: nothing raises for want of one. The job tells, and the thread that beats for it may end it.
    """

    def __init__(self, held: Claim | Help, worker: str, tell: Tell | None = None) -> None:
        self._held = held
        self._worker = worker
        self._unit = "epochs" if isinstance(held, Claim) and held.kind == "run" else "attacks"
        self._tell = None if held.traceparent is None else tell
        self._place = _place_of(held)
        self._began = time.time()
        self._stretch = _Stretch(self._began)
        self._stretches = 0
        self._visited: str | None = None
        self._computed = 0
        self._telling = threading.RLock()

    def begin(self, database: Database) -> None:
        """Tell how long the job has waited."""
        self._tell_of_events(database, attempts.waited)

    def preparing(self) -> None:
        """It is this job's turn to be prepared: its process has done so for others until now."""
        self._began = time.time()

    def prepared(self) -> None:
        """What it needs is read: from here on it does what it is there for."""
        now = time.time()
        with self._telling:
            self._say("prepare", self._place, self._began, now)
            self._stretch = _Stretch(now)

    def starting(self) -> None:
        """What it is there for begins only now: others were prepared meanwhile."""
        with self._telling:
            self._stretch = _Stretch(time.time())

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """What happens inside is a part of the unit that is going on."""
        if self._tell is None:
            yield
            return
        began = time.time()
        try:
            yield
        finally:
            with self._telling:
                part = self._stretch.parts.setdefault(name, _Part(began))
                part.ended = time.time()
                part.times += 1
                part.busy_s += part.ended - began

    def done(self, label: str | int, *, ago_s: float = 0.0) -> None:
        """A unit is done, an epoch or an attack, since so many seconds; `label` says which."""
        if self._tell is None:
            return
        with self._telling:
            stretch = self._stretch
            stretch.units += 1
            stretch.labels[1:] = [label]
            if stretch.units >= 2 ** (self._stretches // _OF_ONE_SIZE):
                self._close(time.time() - ago_s)

    def visit(self, attack: str, *, ago_s: float) -> None:
        """A batch of this attack was computed, in so many seconds; if it is another one, the last is done for now."""
        if self._visited not in (None, attack):
            self.done(str(self._visited), ago_s=ago_s)
        self._visited = attack
        self._computed += 1

    def end(self, database: Database) -> None:
        """Tell what is left, and how the attempt ended; once, however often it is asked."""
        with self._telling:
            if self._visited is not None:
                self.done(self._visited)
            if self._stretch.units or self._stretch.parts:
                self._close(time.time())
            if isinstance(self._held, Help):
                computed: Attributes = {"gauntlet.worker": self._worker, "gauntlet.batches": self._computed}
                self._say("help", self._held.traceparent, self._began, time.time(), computed)
            self._tell_of_events(database, attempts.ended)
            self._tell = None

    def _close(self, ended: float) -> None:
        stretch = self._stretch
        said = dict(zip(("gauntlet.first", "gauntlet.last"), stretch.labels, strict=False))
        said |= {"gauntlet.count": stretch.units} if stretch.units else {}
        # After the last of them a state was written, or what completes the job.
        name = self._unit if stretch.units else "end"
        place = self._say(name, self._place, stretch.began, ended, said)
        for name, part in stretch.parts.items():
            counted = {"gauntlet.count": part.times, "gauntlet.busy_s": round(part.busy_s, 6)}
            self._say(name, place, part.began, part.ended, counted)
        self._stretch = _Stretch(ended)
        self._stretches += 1

    def _say(
        self,
        name: str,
        parent: str | None,
        began: float,
        ended: float,
        attributes: Attributes = _NOTHING,
    ) -> str | None:
        """Tell of a span below another one; returns its place."""
        if self._tell is None or parent is None:
            return None
        place = below(parent)
        self._tell(Span(name, place, parent, began, ended, {**_about(self._held), **attributes}))
        return place

    def _tell_of_events(self, database: Database, read: Callable[[Session, Claim], Iterable[Span]]) -> None:
        if self._tell is None or not isinstance(self._held, Claim):
            return
        try:
            with database.reading() as session:
                for span in read(session, self._held):
                    self._tell(span)
        except Exception as error:  # noqa: BLE001  # a job goes on, and a thread beats, whatever it is
            logger.warning("It cannot be read how %s went, so no span tells it: %s", self._held.id, error)


def _place_of(held: Claim | Help) -> str | None:
    """Below what its spans are told: of a helper below the evaluation, as its own comes at its end, or never."""
    return attempts.place_of(held) if isinstance(held, Claim) else held.traceparent


def _about(held: Claim | Help) -> Attributes:
    if isinstance(held, Claim):
        return attempts.about(held)
    whose = {} if held.experiment is None else {"gauntlet.experiment.id": held.experiment}
    return whose | {"gauntlet.evaluation.id": held.evaluation, "gauntlet.helper.id": held.id}

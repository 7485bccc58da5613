"""Spans of jobs' processes on their way to their worker, which sends them.

A job's process so has no thread and no connection for them, waits for nobody when it ends, and what it has told is not
lost with it. What finds the way full is dropped.
"""

import json
import logging
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Final

from store.database import Database
from store.queue.jobs import Claim
from store.traces import attempts
from store.traces.spans import Span

logger = logging.getLogger(__name__)

Tell = Callable[[Span], None]

_LONGEST: Final = 65_536
# One that does not let go of its end, deep in the kernel, is not waited for.
_HANDED_ON_WITHIN_S: Final = 1.0
# In 2262: nanoseconds since 1970 in 63 bits.
_END_OF_TIME_S: Final = 2**63 / 1e9


class Spans:
    """Those of a worker: of its jobs' processes, which are given `theirs`, and of attempts that nobody else tells of.

    Without `tell` there are none, and `theirs` is None.
    """

    def __init__(self, database: Database, tell: Tell | None) -> None:
        self._database = database
        self._tell = tell
        self._closing = False
        self.theirs: socket.socket | None = None
        if tell is not None:
            # Each message whole, from however many processes, and no more on the way than the system keeps.
            self._here, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self._handing_on = threading.Thread(target=self._hand_on, args=(tell,), name="spans", daemon=True)
            self._handing_on.start()

    def close(self) -> None:
        """Hand on what processes have told; call when all of them have ended."""
        if self.theirs is not None:
            self._closing = True
            self.theirs.close()
            self._handing_on.join(_HANDED_ON_WITHIN_S)

    def tell_of_lost(self, lost: Sequence[Claim]) -> None:
        """Tell of attempts that ended without a word; never raises, for whoever asks has jobs to give back."""
        if self._tell is None or not lost:
            return
        try:
            with self._database.reading() as session:
                for held in lost:
                    for span in attempts.ended(session, held):
                        self._tell(span)
        except Exception:
            logger.exception("How %s ended cannot be read, so no span tells it.", ", ".join(held.id for held in lost))

    def _hand_on(self, tell: Tell) -> None:
        with self._here as here:
            # Before that nothing is an empty message: this process has their end, too.
            while (told := here.recv(_LONGEST)) or not self._closing:
                try:
                    tell(_read(told))
                except Exception:
                    # What computes a job may be a team's own code, and could write there, too.
                    logger.exception("A span could not be read.")


def _read(told: bytes) -> Span:
    span = Span(**json.loads(told))
    # One that OTLP cannot hold would take those that are sent with it along.
    if not all(0 <= moment < _END_OF_TIME_S for moment in (span.began, span.ended)):
        raise ValueError("its times are none")
    return span


def teller(theirs: socket.socket) -> Tell:
    """What tells the worker of a span, in a process that was given its end; it never waits."""
    theirs.setblocking(False)

    def tell(span: Span) -> None:
        try:
            theirs.send(json.dumps(asdict(span)).encode())
        except (OSError, TypeError, ValueError) as error:
            logger.debug("A span found no room, or cannot be written: %s", error)

    return tell

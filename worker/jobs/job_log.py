"""What a job's process logs, for its users too: gathered, and stored with every heartbeat."""

import logging
import threading
from collections import deque
from typing import Final

from store import job_logs, logs
from store.database import Database
from store.queue.helpers import Help
from store.queue.jobs import Claim

# Ten thousand epochs have a line each of about a hundred characters.
MOST_CHARACTERS: Final = 2_000_000
# How it ended is told in these.
_LAST_LINES: Final = 20


class JobLog(logging.Handler):
    """Keeps the lines of one attempt, or helper, until they are stored; past a bound, its last lines only.

    Of a process with several jobs it takes those of its own, and those that are of none or of all.
    """

    def __init__(self, database: Database, held: Claim | Help, *, most_characters: int = MOST_CHARACTERS) -> None:
        super().__init__()
        self.setFormatter(logs.ForUsers(held.speaker))
        self._database = database
        self._job_id = held.job
        self._room = most_characters
        self._lines: list[str] = []
        self._last: deque[str] = deque(maxlen=_LAST_LINES)
        self._left_out = 0
        self._storing = threading.Lock()

    def emit(self, record: logging.LogRecord) -> None:
        """Take a line; called with this handler's lock held."""
        at_work = logs.JOB.get()
        if at_work is not None and at_work[0] != self._job_id:
            return
        line = self.format(record)
        if len(line) <= self._room:
            self._room -= len(line)
            self._lines.append(line)
        else:
            # Once there is no room for one, none comes after those that are kept.
            self._room = 0
            self._left_out += len(self._last) == _LAST_LINES
            self._last.append(line)

    def store(self) -> None:
        """Write down what was gathered; what cannot be stored now is tried again with what comes."""
        with self._storing:
            self.acquire()
            lines, self._lines = self._lines, []
            self.release()
            if not self._write(lines):
                self.acquire()
                self._lines[:0] = lines
                self.release()

    def store_last(self) -> None:
        """The same at the attempt's end, with its last lines if there were too many.

        What cannot be stored now is on the worker's standard error alone, which says so.
        """
        self.acquire()
        if self._left_out:
            self._lines.append(f"({self._left_out} lines are left out here; the worker's own log has them.)")
        self._lines += self._last
        self._last.clear()
        self.release()
        self.store()
        if self._lines:
            logs.complain(f"{len(self._lines)} lines of the log of {self._job_id} could not be stored.")

    def _write(self, lines: list[str]) -> bool:
        if not lines:
            return True
        try:
            with self._database.writing() as session:
                job_logs.append(session, self._job_id, lines)
        except Exception:  # noqa: BLE001  # no log is worth a job, and a logger would come back here
            return False
        return True

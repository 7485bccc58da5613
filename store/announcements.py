"""Hears that something was committed, without asking the database for it."""

import logging
import time
from threading import Lock, Thread
from typing import Final

from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from store.database import Database

logger = logging.getLogger(__name__)

# For a server that does not take the connection, as where it has no more for us, or that ends each as soon as it is
# there: from the end of a try to the next.
_TRY_AGAIN_S: Final = 30.0


class Announcements:
    """A number that is another one as soon as a transaction was committed that announced its turn `name`.

    SQLite counts all commits in memory that processes share. PostgreSQL tells a connection that listens, and is not
    asked: what it has told lies in a socket of ours. A thread makes that connection, for which nobody waits, as it may
    take seconds. One thread at a time may use this.
    """

    def __init__(self, database: Database, name: str) -> None:
        self._database = database
        self._name = name
        self._listening: Connection | None = None
        self._heard = 0
        # What the thread that tries to listen changes, too.
        self._turn = Lock()
        self._is_wanted = self._is_trying = self._is_away = False
        self._try_from = 0.0

    @property
    def may_be_missed(self) -> bool:
        """Whether a connection can be lost without a word, so that what was committed is to be looked for anyway."""
        return self._listening is not None

    def count(self) -> int | None:
        """The number, at once; None where it is not to be had so, as until PostgreSQL is listened to.

        Whatever was committed before that is not told.
        """
        changes = self._database.changes()
        if changes is not None:
            return changes
        with self._turn:
            if self._listening is not None:
                try:
                    self._heard += self._database.heard(self._listening)
                except OperationalError as error:
                    self._end()
                    self._warn(error)
                else:
                    return self._heard
            self._is_wanted = True
            if not self._is_trying and time.monotonic() >= self._try_from:
                Thread(target=self._try, name="try to listen", daemon=True).start()
                self._is_trying = True
        return None

    def close(self) -> None:
        """Listen no more."""
        with self._turn:
            self._is_wanted = False
            if self._listening is not None:
                self._end()
                self._try_from = 0.0

    def _try(self) -> None:
        listening: Connection | None = None
        failed: Exception | None = None
        try:
            listening = self._database.listen(self._name)
        except Exception as error:  # noqa: BLE001  # whatever it was, it is tried again
            failed = error
        with self._turn:
            self._listening = listening
            self._is_trying = False
            self._try_from = time.monotonic() + _TRY_AGAIN_S
            if failed is not None:
                self._warn(failed)
            elif self._is_wanted:
                self._is_away = False
                # Of what was told meanwhile nobody knows.
                self._heard += 1
            else:
                self._end()
                self._try_from = 0.0

    def _end(self) -> None:
        if self._listening is not None:
            self._listening.invalidate()
            self._listening.close()
            self._listening = None

    def _warn(self, error: Exception) -> None:
        """Say so once, however often it is tried again until it is there."""
        if not self._is_away:
            logger.warning("The events are read ten times a second until PostgreSQL tells of them: %s", error)
        self._is_away = True

"""Hears that something was committed, without asking the database for it."""

import logging
import time
from typing import Final

from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from store.database import Database

logger = logging.getLogger(__name__)

# A server that does not take the connection, as where it has no more for us, is not asked at every look: no event is
# read until it refuses, which may take seconds. Nor is one that ends each connection as soon as it is there.
_TRY_AGAIN_S: Final = 30.0


class Announcements:
    """A number that is another one as soon as a transaction was committed that announced its turn `name`.

    SQLite counts all commits in memory that processes share. PostgreSQL tells a connection that listens, and is not
    asked: what it has told lies in a socket of ours. One thread at a time may use it.
    """

    def __init__(self, database: Database, name: str) -> None:
        self._database = database
        self._name = name
        self._listening: Connection | None = None
        self._heard = 0
        self._began_at = self._try_from = 0.0
        self._is_away = False

    @property
    def may_be_missed(self) -> bool:
        """Whether a connection can be lost without a word, so that what was committed is to be looked for anyway."""
        return self._listening is not None

    def count(self) -> int | None:
        """The number, at once; None where it is not to be had so, as before `begin`."""
        if self._listening is None:
            return self._database.changes()
        try:
            self._heard += self._database.heard(self._listening)
        except OperationalError as error:
            self.close()
            now = time.monotonic()
            if now - self._began_at < _TRY_AGAIN_S:
                self._try_from = now + _TRY_AGAIN_S
            self._warn(error)
            return None
        return self._heard

    def begin(self) -> int | None:
        """The same, listening for it first, which may take seconds; what was committed before is not told."""
        if self._listening is None and time.monotonic() >= self._try_from:
            try:
                self._listening = self._database.listen(self._name)
            except OperationalError as error:
                self._try_from = time.monotonic() + _TRY_AGAIN_S
                self._warn(error)
            else:
                self._began_at = time.monotonic()
                self._is_away = False
                # Of what was told meanwhile nobody knows.
                self._heard += 1
        return self.count()

    def close(self) -> None:
        """Listen no more."""
        if self._listening is not None:
            self._listening.invalidate()
            self._listening.close()
            self._listening = None

    def _warn(self, error: OperationalError) -> None:
        """Say so once, however often it is tried again until it is there."""
        if not self._is_away:
            logger.warning("The events are read ten times a second until PostgreSQL tells of them: %s", error)
        self._is_away = True

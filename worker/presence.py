"""That this worker lives, told in its row."""

import logging
from collections.abc import Mapping

from sqlalchemy.exc import SQLAlchemyError

import gauntlet
from store import workers
from store.database import Database
from store.workers import Presence
from worker.settings import WorkerSettings

logger = logging.getLogger(__name__)


class Announcer:
    """Keeps the row of one worker: made anew when it is first told, and taken when the worker stops.

    `networks` are those of a team's own that its jobs have, each with its package.
    """

    def __init__(self, database: Database, settings: WorkerSettings, networks: Mapping[str, str] | None = None) -> None:
        self._database = database
        self._presence = Presence(
            settings.worker_name, settings.worker_slots, gauntlet.__version__, dict(networks or {})
        )
        self._entered = False

    def tell(self) -> None:
        """Say that it lives."""
        with self._database.writing() as session:
            if self._entered:
                workers.beat(session, self._presence)
            else:
                workers.enter(session, self._presence)
        self._entered = True

    def leave(self) -> None:
        """Say that it stops. Where that cannot be said, its row grows old."""
        try:
            with self._database.writing() as session:
                workers.leave(session, self._presence.name)
        except SQLAlchemyError as error:
            logger.warning("The database does not know that this worker stops: %s", error)

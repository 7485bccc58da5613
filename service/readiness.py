"""Whether the database answers, told without waiting for a thread or a connection that other requests have taken."""

import logging
import time

import anyio
from anyio.to_thread import run_sync
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from store.database import Database
from store.models import Experiment

logger = logging.getLogger(__name__)

# Whoever asks more often than this is told what the last look saw.
_FRESH_S = 1.0
# A server that takes connections and says nothing is given up sooner than libpq would.
_PATIENCE_S = 3.0


class Readiness:
    """Looks at the database for all that ask, one look at a time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._turn = anyio.Lock()
        self._thread = anyio.CapacityLimiter(1)
        self._looked: float | None = None
        self._answered = False

    async def database_answers(self) -> bool:
        """Whether it gave an answer within the last second, or gives one now."""
        async with self._turn:
            if self._looked is None or time.monotonic() - self._looked > _FRESH_S:
                self._answered = False
                with anyio.move_on_after(_PATIENCE_S):
                    self._answered = await run_sync(self._look, limiter=self._thread, abandon_on_cancel=True)
                self._looked = time.monotonic()
            return self._answered

    def _look(self) -> bool:
        try:
            with self._database.reading_apart() as session:
                session.execute(select(Experiment.id).limit(1))
        except SQLAlchemyError as error:
            logger.warning("The database does not answer: %s", error)
            return False
        return True

"""Whether database and storage answer, told without waiting for a thread or connection that other requests have taken.

The storage's answer is that of the last look, but for the first: a bucket takes longer than many who ask wait.
"""

import asyncio
import logging
import time

import anyio
from anyio.to_thread import run_sync
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from store.database import Database
from store.models import Experiment
from store.storage import Storage, StorageAway

logger = logging.getLogger(__name__)

# Whoever asks more often than this is told what the last look saw. A look at a bucket is paid for.
_FRESH_S, _STORAGE_FRESH_S = 1.0, 10.0
# A server that takes connections and says nothing is given up sooner than libpq would, and so is a folder of a network.
_PATIENCE_S, _STORAGE_PATIENCE_S = 3.0, 10.0


class Readiness:
    """Looks at both for all that ask, one look at a time."""

    def __init__(self, database: Database, storage: Storage) -> None:
        self._database = database
        self._turn = anyio.Lock()
        self._thread = anyio.CapacityLimiter(1)
        self._looked: float | None = None
        self._answered = False
        self._storage = StorageLooks(storage)

    async def database_answers(self) -> bool:
        """Whether it gave an answer within the last second, or gives one now."""
        async with self._turn:
            if self._looked is None or time.monotonic() - self._looked > _FRESH_S:
                self._answered = False
                with anyio.move_on_after(_PATIENCE_S):
                    self._answered = await run_sync(self._look, limiter=self._thread, abandon_on_cancel=True)
                self._looked = time.monotonic()
            return self._answered

    async def storage_fault(self) -> OSError | None:
        """What the last look at the storage met, which is begun anew where it was more than 10 s ago."""
        return await self._storage.fault()

    def _look(self) -> bool:
        try:
            with self._database.reading_apart() as session:
                session.execute(select(Experiment.id).limit(1))
        except SQLAlchemyError as error:
            logger.warning("The database does not answer: %s", error)
            return False
        return True


class StorageLooks:
    """What is known of the storage."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._thread = anyio.CapacityLimiter(1)
        self._looking: asyncio.Task[None] | None = None
        self._looked: float | None = None
        self._fault: OSError | None = None

    async def fault(self) -> OSError | None:
        """What the last look met."""
        stale = self._looked is None or time.monotonic() - self._looked > _STORAGE_FRESH_S
        if stale and self._looking is None:
            self._looking = asyncio.create_task(self._look())
        if self._looked is None and self._looking is not None:
            await asyncio.shield(self._looking)
        return self._fault

    async def _look(self) -> None:
        fault: OSError | None = StorageAway("it says nothing")
        try:
            with anyio.move_on_after(_STORAGE_PATIENCE_S):
                # Where the last look hangs, this one waits for its thread, and is given up too.
                await run_sync(self._storage.look, limiter=self._thread, abandon_on_cancel=True)
                fault = None
        except OSError as error:
            fault = error
        finally:
            self._looked, self._looking, self._fault = time.monotonic(), None, fault
        if fault is not None:
            logger.warning("The storage does not answer, or refuses: %s", fault)

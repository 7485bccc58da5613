"""Whether database and storage answer, told without waiting for a thread or connection that other requests have taken.

The storage's answer is that of the last look, but for one that is old: a bucket takes longer than many who ask wait.
"""

import asyncio
import contextlib
import logging
import math
import threading
import time
from collections.abc import Callable

import anyio
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from store.database import Database
from store.models import Experiment
from store.storage import Storage, StorageAway, StorageRefused

logger = logging.getLogger(__name__)

# Whoever asks more often than this is told what the last look saw. A look at a bucket is paid for.
_FRESH_S, _STORAGE_FRESH_S = 1.0, 10.0
# What was seen longer ago is not told before a new look was given as long as this.
_STORAGE_OLD_S, _STORAGE_WAIT_S = 30.0, 1.0
# A server that takes connections and says nothing is given up sooner than libpq would, and so is a folder of a network.
_PATIENCE_S, _STORAGE_PATIENCE_S = 3.0, 10.0


class Readiness:
    """Looks at both for all that ask, one look at a time."""

    def __init__(self, database: Database, storage: Storage) -> None:
        self._database = database
        self._turn = anyio.Lock()
        self._looks = _Apart("database", self._look)
        self._looked: float | None = None
        self._answered = False
        self._storage = StorageLooks(storage)

    async def database_answers(self) -> bool:
        """Whether it gave an answer within the last second, or gives one now."""
        async with self._turn:
            if self._looked is None or time.monotonic() - self._looked > _FRESH_S:
                self._answered = False
                with contextlib.suppress(TimeoutError):
                    self._answered = await self._looks.within(_PATIENCE_S) is None
                self._looked = time.monotonic()
            return self._answered

    async def storage_fault(self) -> OSError | None:
        """What the last look at the storage met, which is begun anew where it was more than 10 s ago."""
        return await self._storage.fault()

    def _look(self) -> None:
        try:
            with self._database.reading_apart() as session:
                session.execute(select(Experiment.id).limit(1))
        except SQLAlchemyError as error:
            logger.warning("The database does not answer: %s", error)
            raise


class StorageLooks:
    """What is known of the storage."""

    def __init__(self, storage: Storage) -> None:
        self._looks = _Apart("storage", storage.look)
        self._looking: asyncio.Task[None] | None = None
        self._looked: float | None = None
        self._fault: OSError | None = None

    async def fault(self) -> OSError | None:
        """What the last look met: the storage is away, or refuses."""
        age = math.inf if self._looked is None else time.monotonic() - self._looked
        if age > _STORAGE_FRESH_S and self._looking is None:
            self._looking = asyncio.create_task(self._look())
        if age > _STORAGE_OLD_S and self._looking is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(self._looking), None if self._looked is None else _STORAGE_WAIT_S)
        return self._fault

    async def _look(self) -> None:
        fault: OSError | None = StorageAway("it says nothing")
        try:
            error = await self._looks.within(_STORAGE_PATIENCE_S)
            if isinstance(error, StorageRefused):
                fault = error
            else:
                fault = StorageAway(str(error)) if error is not None else None
                if error is not None and not isinstance(error, OSError):
                    logger.error("To look at the storage failed.", exc_info=error)
        except TimeoutError:
            pass
        finally:
            self._looked, self._looking, self._fault = time.monotonic(), None, fault
        if fault is not None:
            logger.warning("The storage does not answer, or refuses: %s", fault)


class _Apart:
    """Looks in a thread of their own, one at a time, which the process's end does not wait for."""

    def __init__(self, what: str, look: Callable[[], None]) -> None:
        self._name, self._look = f"look at the {what}", look
        self._running: asyncio.Future[Exception | None] | None = None

    async def within(self, seconds: float) -> Exception | None:
        """What the look raised; of one that hangs, the one under way is waited for and no other begun.

        Raises:
            TimeoutError: it said nothing for so long.
        """
        if self._running is None or self._running.done():
            self._running = asyncio.get_running_loop().create_future()
            threading.Thread(target=self._tell, args=[self._running], name=self._name, daemon=True).start()
        return await asyncio.wait_for(asyncio.shield(self._running), seconds)

    def _tell(self, told: "asyncio.Future[Exception | None]") -> None:
        seen: Exception | None = None
        try:
            self._look()
        except Exception as error:  # noqa: BLE001  # whatever it is, it is told
            seen = error
        # The loop may have ended meanwhile.
        with contextlib.suppress(RuntimeError):
            told.get_loop().call_soon_threadsafe(told.set_result, seen)

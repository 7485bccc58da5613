"""What requests ask of the storage.

A bucket takes as long as it likes, and a network's folder may hang for good, so it is asked in threads of its own: of
the server's others there are few, and what needs no storage is answered by them meanwhile.
"""

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from anyio import CapacityLimiter

from gauntlet.spec.kinds import AnyDataset, Uploaded
from service.answering.disks import Bounded
from service.detached import detached
from service.errors import ServiceError
from service.settings import ServiceSettings
from store import dataset_files

T = TypeVar("T")

logger = logging.getLogger(__name__)

# Whether files are there; more than the server has threads, and a bucket that is away says so in that time.
LOOKS = Bounded("look for stored files", most=12, patience_s=10.0)
_THREADS = 2
# Weights of 512 MiB may come slowly.
_LARGE_S = 300.0
# Two archives and a model are received at once.
WRITERS = 3
# A small data set comes within that time; for another its asker comes again.
_WAITED_FOR_S = 3.0


class StorageReads:
    """Small pictures, files, data sets and what is received, none of which waits for those of another kind."""

    def __init__(self, settings: ServiceSettings) -> None:
        self._settings = settings
        self._small, self._files, self._datasets = (CapacityLimiter(_THREADS) for _ in range(3))
        self._writing = CapacityLimiter(WRITERS)
        # With some whose askers left.
        self._pictures = Bounded("small picture", most=4 * _THREADS, patience_s=10.0)
        self._brought = Bounded("file", most=4 * _THREADS, patience_s=_LARGE_S)
        self._weights = Bounded("weights", most=4 * _THREADS, patience_s=_LARGE_S)
        self._coming: dict[str, asyncio.Task[Path]] = {}

    async def thumbnail(self, identifier: str, number: int) -> bytes:
        """A small picture of that data set, as a PNG.

        Raises:
            FileNotFoundError: there is none of that number.
            OSError: it cannot be read, or not soon.
        """
        read = partial(dataset_files.thumbnail, self._settings.storage, identifier, number)
        async with self._small:
            return await self._pictures.awaited(read)

    async def bring(self, fetch: Callable[[], T]) -> T:
        """What `fetch` comes to, which brings a file.

        Raises:
            StorageAway: it does not come for minutes.
        """
        async with self._files:
            return await self._brought.awaited(fetch)

    async def bring_weights(self, fetch: Callable[[], T]) -> T:
        """The same of weights to classify with, of which one request asks at a time."""
        return await self._weights.awaited(fetch)

    async def write(self, work: Callable[[], T]) -> T:
        """What `work` comes to, which writes to the storage and takes as long as that does.

        Where this is cancelled it waits for work that has begun; the process's end does not.
        """
        async with self._writing:
            working = asyncio.ensure_future(detached(work, "write to the storage"))
            try:
                return await asyncio.shield(working)
            except asyncio.CancelledError:
                await asyncio.wait([working])
                if not working.cancelled():
                    # Nobody else hears of it.
                    working.exception()
                raise

    async def root_of(self, dataset: AnyDataset) -> Path:
        """The folder that the data set lies below, of which a copy may have to come first.

        Raises:
            ServiceError: 503, it is still coming, and goes on while nobody waits.
            OSError: the storage does not answer, or the machine has no room.
        """
        if not isinstance(dataset, Uploaded):
            return self._settings.data_root
        coming = self._coming.get(dataset.id)
        if coming is None:
            coming = self._coming[dataset.id] = asyncio.create_task(self._bring_dataset(dataset))
            coming.add_done_callback(partial(self._has_come, dataset.id))
        await asyncio.wait([coming], timeout=_WAITED_FOR_S)
        if not coming.done():
            detail = "The data set is being brought from the storage; try again in a few seconds."
            raise ServiceError(503, "data-set-coming", detail, headers={"Retry-After": "5"})
        return coming.result()

    async def _bring_dataset(self, dataset: Uploaded) -> Path:
        # Where the server stops it is not waited for; what is half brought then is cleared away as a dead process's.
        async with self._datasets:
            return await detached(partial(self._settings.root_of, dataset), "data set")

    def _has_come(self, identifier: str, ended: asyncio.Task[Path]) -> None:
        del self._coming[identifier]
        # Whoever asked may have gone.
        if not ended.cancelled() and (error := ended.exception()) is not None:
            logger.warning("The data set %s could not be brought from the storage: %s", identifier, error)

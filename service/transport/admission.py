"""How many requests of a kind are let in at once, told before anything of their bodies is read."""

import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import anyio
from fastapi import Request

from service.errors import busy


def _nobody(_request: Request) -> bool:
    return False


class Gate:
    """Lets in so many requests of the whole process; a route that names it as a dependency lies behind it.

    Of those let in so many are answered `at_once`; the others wait for their turn, which takes no thread. Requests that
    it `lets_pass` need no place.

    `service.requests.routing` holds a request's place from before its body is read until its answer is sent: what waits
    fills neither the memory, nor the disk, nor the server's threads.
    """

    def __init__(
        self,
        most: int,
        detail: str,
        *,
        retry_after_s: int,
        at_once: int | None = None,
        lets_pass: Callable[[Request], bool] = _nobody,
    ) -> None:
        self._places = threading.BoundedSemaphore(most)
        self._turns = anyio.Semaphore(at_once or most)
        self._detail = detail
        self._retry_after_s = retry_after_s
        self.lets_pass = lets_pass

    async def __call__(self) -> None:
        """Do nothing: by the time that a dependency is called, the body has been read."""

    @contextmanager
    def admit(self) -> Iterator[None]:
        """Hold a place.

        Raises:
            ServiceError: 429, all of them are taken.
        """
        if not self._places.acquire(blocking=False):
            raise busy(self._detail, retry_after_s=self._retry_after_s)
        try:
            yield
        finally:
            self._places.release()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait until few enough are being answered, and be one of them."""
        async with self._turns:
            yield


# What is put together of very many rows: one at a time, for it keeps everything else from computing meanwhile.
SUMMARIES = Gate(8, "Other reports are being put together; try again in a few seconds.", retry_after_s=2, at_once=1)
# A page of a hundred rows is written within one turn of Python's lock, for which the loop waits as long as all threads
# together: 276 ms with six of them, 100 requests of 50 clients for evaluations.
LISTS = Gate(200, "Other lists are being read; try again in a second.", retry_after_s=1, at_once=1)
# A draft of a thousand runs is some 50 ms of Python, and the form on the page asks again while one writes. Of two one
# may lie in a folder that takes seconds to look at.
DRAFTS = Gate(200, "Other drafts are being looked at; try again in a second.", retry_after_s=1, at_once=2)
# What asks for jobs: a hundred evaluations of a hundred attacks by twenty clients kept the loop waiting for 53 ms.
ORDERS = Gate(200, "Other jobs are being asked for; try again in a second.", retry_after_s=1, at_once=3)
# Two programs scrape at most.
SCRAPES = Gate(200, "Others are being told the same; try again in a second.", retry_after_s=1, at_once=1)

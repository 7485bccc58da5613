"""How many requests of a kind are let in at once, told before anything of their bodies is read."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from service.errors import ServiceError


class Gate:
    """Lets in so many requests of the whole process; a route that names it as a dependency lies behind it.

    `service.routing` holds a request's place from before its body is read until it is answered, so that what waits
    fills neither the memory, nor the disk, nor the server's threads.
    """

    def __init__(self, most: int, detail: str, *, retry_after_s: int) -> None:
        self._places = threading.BoundedSemaphore(most)
        self._detail = detail
        self._retry_after_s = retry_after_s

    async def __call__(self) -> None:
        """Do nothing: by the time that a dependency is called, the body has been read."""

    @contextmanager
    def admit(self) -> Iterator[None]:
        """Hold a place.

        Raises:
            ServiceError: 429, all of them are taken.
        """
        if not self._places.acquire(blocking=False):
            raise ServiceError(429, "busy", self._detail, headers={"Retry-After": str(self._retry_after_s)})
        try:
            yield
        finally:
            self._places.release()

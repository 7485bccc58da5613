"""What is put together of an experiment's many rows: here where they are few, else in a process of its own.

To put together a report of a thousand runs takes Python's lock for a second, with calls that keep it for tens of
milliseconds, while the loop that answers everybody waits for its turn several times a request. No torch is needed, so
the process is light: it starts in a second, and ends when nobody has asked it for a minute.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

from fastapi.concurrency import run_in_threadpool

from service.aside.processes import Aside, Ended
from service.aside.reporting import written
from service.detached import heard
from service.errors import ServiceError, database_away
from store.database import Database
from store.errors import NotFound
from store.shown import reports

# A thread is through with that in 15 to 30 ms: two dozen runs with an evaluation each, or four of 200 epochs.
_MOST_HERE = 1_000
# Measured: a thousand runs of 20 epochs with a thousand evaluations take 2 s of a processor and 250 MB.
_MOST_SECONDS = 60.0
_MOST_MEMORY = 1 << 30
_PATIENCE_S = 300.0
# Who leaves while something is made mostly leaves what is made sooner than another process would start.
_GRACE_S = 1.0
_KEPT_S = 60.0


class _TooMany(Exception):
    """The rows are too many to be looked at here."""


class Reporter:
    """Puts one thing together at a time; its caller sees to that."""

    def __init__(
        self,
        database: Database,
        url: str,
        *,
        most_here: int = _MOST_HERE,
        most_seconds: float = _MOST_SECONDS,
        most_memory: int = _MOST_MEMORY,
        kept_s: float = _KEPT_S,
        grace_s: float = _GRACE_S,
    ) -> None:
        self._database, self._url = database, url
        self._most_here, self._most_seconds = most_here, most_seconds
        self._kept_s, self._grace_s = kept_s, grace_s
        self.process = Aside("reporting", most_memory=most_memory, patience_s=_PATIENCE_S)
        self._most_memory = most_memory
        self._ending: asyncio.TimerHandle | None = None
        self._ended: asyncio.Future[None] | None = None

    async def write(self, experiment: str, wanted: Mapping[str, Any]) -> bytes | None:
        """What is wanted (`service.aside.reporting.written`), None where there is nothing to draw.

        If this is cancelled, the process is ended unless it is through within a second.

        Raises:
            NotFound: there is no such experiment.
            ServiceError: 422, it takes too much; 503, the database is away, or the process does not answer.
        """
        try:
            return await run_in_threadpool(self._written_here, experiment, wanted)
        except _TooMany:
            return await self._written_aside(experiment, wanted)

    async def close(self) -> None:
        """End the process, if there is one."""
        self._stop_ending()
        if self._ended is not None:
            await self._ended
        await self.process.close()

    def _written_here(self, experiment: str, wanted: Mapping[str, Any]) -> bytes | None:
        with self._database.reading() as session:
            if reports.weight(session, experiment) > self._most_here:
                raise _TooMany
        return written(self._database, experiment, wanted)

    async def _written_aside(self, experiment: str, wanted: Mapping[str, Any]) -> bytes | None:
        self._stop_ending()
        if self._ended is not None:
            # What is being ended is not asked; the next one is.
            await asyncio.shield(self._ended)
        order = {"database": self._url, "experiment": experiment, "wanted": wanted}
        asking = asyncio.ensure_future(self.process.ask(order, seconds=self._most_seconds, behind=None))
        asking.add_done_callback(heard)
        try:
            answer, found = await asyncio.shield(asking)
        except asyncio.CancelledError:
            await asyncio.wait([asking], timeout=self._grace_s)
            asking.cancel()
            await asyncio.wait([asking])
            raise
        except Ended as end:
            raise (self._refusal() if end.late else _broken_down()) from end
        finally:
            self._ending = asyncio.get_running_loop().call_later(self._kept_s, self._end)
        match answer.get("refused"):
            case None:
                return found[0] if found else None
            case "missing":
                raise NotFound("experiment", experiment)
            case "away":
                raise database_away()
            case _:
                raise self._refusal()

    def _refusal(self) -> ServiceError:
        told = (
            f"Of this experiment there is too much for one answer: it would take more than {self._most_seconds:g} s of "
            f"a processor, or {self._most_memory >> 20} MiB. Read its runs' metrics and its evaluations one by one."
        )
        return ServiceError(422, "too-much", told)

    def _end(self) -> None:
        self._ended = asyncio.ensure_future(self.process.close())

    def _stop_ending(self) -> None:
        if self._ending is not None:
            self._ending.cancel()


def _broken_down() -> ServiceError:
    detail = "What puts this together was ended, as by a machine that has no memory left; try again."
    return ServiceError(503, "busy", detail, headers={"Retry-After": "2"})

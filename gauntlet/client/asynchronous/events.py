"""What happened: as a list, and as it happens."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence

from gauntlet.client.addresses import listed, place
from gauntlet.client.asynchronous.connection import Connection
from gauntlet.client.errors import GauntletClientError
from gauntlet.resources import Event, EventType

_LISTS = {"exp": "experiments", "run": "runs", "eval": "evaluations"}
_PAUSE_S = 1.0
_PATIENCE_S = 600.0


class Events:
    _http: Connection

    def events(
        self,
        of: str | None = None,
        *,
        types: EventType | Sequence[EventType] = (),
        after: int | None = None,
        follow: bool = False,
    ) -> AsyncIterator[Event]:
        """What happened, in order: to an experiment with its jobs, a run or an evaluation, or to all; after an event.

        A run's are its notes and alarms unless types are named. With `follow` those of all types come as they happen,
        until their subject has ended; of everything from now on, without end. It goes on by itself where the connection
        was lost, with neither gap nor repetition, for ten minutes at a time.
        """
        path = self._place(of)
        if follow:
            return self._follow(path, types, after)
        return self._http.all(Event, path, type=listed(types) or None, after=None if after is None else str(after))

    async def _follow(
        self, path: str, types: EventType | Sequence[EventType], after: int | None
    ) -> AsyncIterator[Event]:
        known = after
        silent_since: float | None = None
        while True:
            headers = {} if known is None else {"Last-Event-ID": str(known)}
            try:
                async for frame in self._http.frames(path, {"type": listed(types)}, headers):
                    silent_since = None
                    if frame.get("event") == "end":
                        return
                    if "id" in frame:
                        known = int(frame["id"])
                    if "data" in frame:
                        yield Event.model_validate_json(frame["data"], extra="ignore")
            except GauntletClientError as error:
                silent_since = silent_since or time.monotonic()
                if not error.may_pass or known is None or time.monotonic() - silent_since > _PATIENCE_S:
                    raise
            await asyncio.sleep(_PAUSE_S)

    def _place(self, of: str | None) -> str:
        if of is None:
            return "/v1/events"
        kind = _LISTS.get(of.partition("_")[0])
        if kind is None:
            raise GauntletClientError(f"{of} has no events; experiments, runs and evaluations have.")
        return place(kind, of, "events")

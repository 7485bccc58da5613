"""What happened, of everything or of one thing: a page of it, or a stream that goes on."""

from collections.abc import Sequence
from typing import Annotated, Any, get_args

from fastapi import APIRouter, Depends, Query, Request, Response

from gauntlet.resources import Event, EventType, Page
from service.answering import streams
from service.answering.pages import as_page
from service.answering.streams import Topic
from service.dependencies import AfterEvent, CallerDep, DatabaseDep, LastEventId, Limit, StreamsDep
from service.requests.routing import Route
from service.transport.admission import Gate
from store import events
from store.database import Database
from store.subjects import evaluations, experiments, runs

router = APIRouter(prefix="/v1", tags=["events"], route_class=Route)

_ALL: tuple[EventType, ...] = get_args(EventType)
Types = Annotated[list[EventType] | None, Query(alias="type", description="Only events of these types.")]


def _is_for_stream(request: Request) -> bool:
    return streams.MEDIA_TYPE in request.headers.get("accept", "")


async def _wants_stream(request: Request) -> bool:
    return _is_for_stream(request)


# Pages alone: streams are bounded by themselves, and hundreds come at once when the service starts anew.
EVENTS = Gate(
    200,
    "Other pages of events are being read; try again in a second.",
    retry_after_s=1,
    at_once=1,
    lets_pass=_is_for_stream,
)


class _Reading:
    """What all of these requests say beside whose events they want."""

    def __init__(
        self,
        database: DatabaseDep,
        following: StreamsDep,
        caller: CallerDep,
        wants_stream: Annotated[bool, Depends(_wants_stream)],
        types: Types = None,
        limit: Limit = 20,
        after: AfterEvent = None,
        last_event_id: LastEventId = None,
    ) -> None:
        self.database: Database = database
        self._streams = following
        self._caller = caller
        self._wants_stream = wants_stream
        self._types = types
        self._limit = limit
        # A browser that comes back repeats its URL, and says in the header how far it is by now.
        self._after = after if last_event_id is None else last_event_id

    def answer(
        self, experiment: str | None = None, subject: str | None = None, *, page_of: Sequence[EventType] = _ALL
    ) -> Page[Event] | Response:
        """A page, or a stream where that is what the request accepts."""
        if self._wants_stream:
            topic = Topic(frozenset(self._types or _ALL), experiment, subject)
            return self._streams.answer(topic, self._after, self._caller)
        with self.database.reading() as session:
            types = self._types or page_of
            found = events.page(
                session, experiment=experiment, subject=subject, types=types, after=self._after, limit=self._limit
            )
        return as_page(found, events.show, lambda row: row.id)


ReadingDep = Annotated[_Reading, Depends()]
_ANSWERS: dict[str, Any] = {
    "dependencies": [Depends(EVENTS)],
    "response_model": Page[Event],
    "responses": {200: {"content": {streams.MEDIA_TYPE: {"schema": {"type": "string"}}}}},
}


@router.get("/events", **_ANSWERS)
def list_all_events(reading: ReadingDep) -> Page[Event] | Response:
    """All events in order, from the first that is kept; as a stream, from now on."""
    return reading.answer()


@router.get("/experiments/{experiment_id}/events", **_ANSWERS)
def list_events_of_experiment(experiment_id: str, reading: ReadingDep) -> Page[Event] | Response:
    """What happened to an experiment, its runs and its evaluations, in order; a stream ends when it does."""
    with reading.database.reading() as session:
        experiments.get(session, experiment_id)
    return reading.answer(experiment=experiment_id)


@router.get("/runs/{run_id}/events", **_ANSWERS)
def list_events_of_run(run_id: str, reading: ReadingDep) -> Page[Event] | Response:
    """What happened to a run, in order: its notes and alarms unless types are named; a stream has all, and its end."""
    with reading.database.reading() as session:
        runs.get(session, run_id)
    return reading.answer(subject=run_id, page_of=events.NOTES)


@router.get("/evaluations/{evaluation_id}/events", **_ANSWERS)
def list_events_of_evaluation(evaluation_id: str, reading: ReadingDep) -> Page[Event] | Response:
    """What happened to an evaluation, in order; a stream ends when it does."""
    with reading.database.reading() as session:
        evaluations.get(session, evaluation_id)
    return reading.answer(subject=evaluation_id)

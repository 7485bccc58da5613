"""What the attempts of a job logged, as text."""

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import PlainTextResponse
from pydantic import Field

from service.dependencies import WHOLE, DatabaseDep
from service.requests.routing import Route
from store import job_logs
from store.database import Database
from store.subjects import evaluations, runs

router = APIRouter(prefix="/v1", route_class=Route)

Known = Annotated[
    int, Field(ge=0, le=2**31 - 1), WHOLE, Query(description="How many lines are known already; those are left out.")
]
Lines = Annotated[int, Field(ge=1, le=10_000), WHOLE, Query(description="How many lines the answer has at most.")]


@router.get("/runs/{run_id}/log", response_class=PlainTextResponse, tags=["runs"])
def get_run_log(run_id: str, database: DatabaseDep, after: Known = 0, limit: Lines = 1_000) -> PlainTextResponse:
    """What the run's attempts logged so far, a line each."""
    with database.reading() as session:
        runs.get(session, run_id)
    return _log(database, run_id, after, limit)


@router.get("/evaluations/{evaluation_id}/log", response_class=PlainTextResponse, tags=["evaluations"])
def get_evaluation_log(
    evaluation_id: str, database: DatabaseDep, after: Known = 0, limit: Lines = 1_000
) -> PlainTextResponse:
    """What the evaluation's attempts logged so far, a line each."""
    with database.reading() as session:
        evaluations.get(session, evaluation_id)
    return _log(database, evaluation_id, after, limit)


def _log(database: Database, job_id: str, after: int, limit: int) -> PlainTextResponse:
    with database.reading() as session:
        lines = job_logs.read(session, job_id, after=after, limit=limit)
    return PlainTextResponse("".join(f"{line}\n" for line in lines))

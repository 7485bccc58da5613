"""/healthz and /readyz: is the process alive, and can it serve. Neither waits for what other requests wait for."""

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel

from service.dependencies import ReadinessDep
from service.errors import database_away, storage_unavailable
from service.requests.routing import Route

router = APIRouter(tags=["health"], route_class=Route)


class Health(BaseModel):
    status: Literal["ok"] = "ok"


@router.get("/healthz")
async def healthz() -> Health:
    """The process answers."""
    return Health()


@router.get("/readyz")
async def readyz(readiness: ReadinessDep) -> Health:
    """The database answers and has the schema, and the storage answers. The broker need not: a job waits in its row."""
    if not await readiness.database_answers():
        raise database_away()
    fault = await readiness.storage_fault()
    if fault is not None and (refusal := storage_unavailable(fault)) is not None:
        raise refusal
    return Health()

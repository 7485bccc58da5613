"""/healthz and /readyz: is the process alive, and can it serve."""

from typing import Literal

from fastapi import APIRouter, Depends
from pydantic import BaseModel
from sqlalchemy import select

from service.dependencies import DatabaseDep
from service.routing import Route
from store.models import Experiment

router = APIRouter(tags=["health"], route_class=Route)


class Health(BaseModel):
    status: Literal["ok"] = "ok"


@router.get("/healthz")
def healthz() -> Health:
    """The process answers."""
    return Health()


def _query_database(database: DatabaseDep) -> None:
    with database.reading() as session:
        session.execute(select(Experiment.id).limit(1))


@router.get("/readyz", dependencies=[Depends(_query_database)])
def readyz() -> Health:
    """The database answers and has the schema. The broker need not: a job waits in its row."""
    return Health()

"""/: the page for a browser; for a program, where to go from here."""

from typing import Annotated, Literal

from fastapi import APIRouter, Header, Response
from pydantic import BaseModel

import gauntlet
from service.page.files import document
from service.requests.routing import Route
from service.routes.page import as_response

router = APIRouter(tags=["index"], route_class=Route)

_COLLECTIONS = ("experiments", "runs", "checkpoints", "evaluations", "leaderboard")


class Index(BaseModel):
    object: Literal["index"] = "index"
    version: str = gauntlet.__version__
    guide: str = "/docs"
    documents: str = "/guide/"
    openapi: str = "/openapi.json"
    collections: dict[str, str] = {name: f"/v1/{name}" for name in _COLLECTIONS}


@router.get("/", response_model=Index, responses={200: {"content": {"text/html": {"schema": {"type": "string"}}}}})
async def index(response: Response, accept: Annotated[str, Header(include_in_schema=False)] = "") -> Index | Response:
    """The version, the guide to all requests, and the lists to begin with. A browser gets the page."""
    response.headers["Vary"] = "Accept"
    if "text/html" not in accept:
        return Index()
    page = as_response(document())
    page.headers["Vary"] = "Accept"
    return page

"""/: where to go from here, for a program and for a browser."""

from typing import Annotated, Literal

from fastapi import APIRouter, Header, Response
from fastapi.responses import HTMLResponse
from pydantic import BaseModel

import gauntlet
from service.routing import Route

router = APIRouter(tags=["index"], route_class=Route)

_COLLECTIONS = ("experiments", "runs", "checkpoints", "evaluations", "leaderboard")


class Index(BaseModel):
    object: Literal["index"] = "index"
    version: str = gauntlet.__version__
    guide: str = "/docs"
    openapi: str = "/openapi.json"
    collections: dict[str, str] = {name: f"/v1/{name}" for name in _COLLECTIONS}


@router.get("/", response_model=Index, responses={200: {"content": {"text/html": {"schema": {"type": "string"}}}}})
async def index(response: Response, accept: Annotated[str, Header(include_in_schema=False)] = "") -> Index | Response:
    """The version, the guide to all requests, and the lists to begin with. A browser gets links to them."""
    response.headers["Vary"] = "Accept"
    found = Index()
    return HTMLResponse(_page(found), headers={"Vary": "Accept"}) if "text/html" in accept else found


def _page(found: Index) -> str:
    places = {"guide to every request": found.guide, "the same for programs": found.openapi, **found.collections}
    links = "".join(f'<li><a href="{path}">{name}</a>' for name, path in places.items())
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Gauntlet {found.version}</title>'
        f"<h1>Gauntlet {found.version}</h1><ul>{links}</ul>"
    )

"""/page/…: the files of the page. They hold no data, so that one can log in without having logged in."""

from typing import Annotated

from fastapi import APIRouter, Header, Response

from service.errors import ServiceError
from service.page.files import CONTENT_SECURITY_POLICY, PageFile, assets
from service.routing import Route

router = APIRouter(include_in_schema=False, route_class=Route)

IfNoneMatch = Annotated[str, Header(include_in_schema=False)]


@router.get("/page/{name}")
async def get_file(name: str, if_none_match: IfNoneMatch = "") -> Response:
    """A script, a stylesheet or a drawing of the page."""
    found = assets().get(name)
    if found is None:
        raise ServiceError(404, "not-found", "The page has no such file.")
    return as_response(found, if_none_match)


def as_response(file: PageFile, if_none_match: str) -> Response:
    """The file, or word that the browser has it already. It asks each time, so an upgrade is seen at once."""
    headers = {"ETag": file.etag, "Cache-Control": "no-cache", "Content-Security-Policy": CONTENT_SECURITY_POLICY}
    if file.etag in (tag.strip() for tag in if_none_match.split(",")):
        return Response(status_code=304, headers=headers)
    return Response(file.content, headers=headers, media_type=file.media_type)

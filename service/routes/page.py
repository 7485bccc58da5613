"""/page/…: the files of the page. They hold no data, so that one can log in without having logged in."""

from fastapi import APIRouter, Response

from service.errors import ServiceError
from service.page.files import CONTENT_SECURITY_POLICY, PageFile, assets
from service.requests.routing import Route

router = APIRouter(include_in_schema=False, route_class=Route)


@router.get("/page/{name}")
async def get_file(name: str) -> Response:
    """A script, a stylesheet or a drawing of the page."""
    found = assets().get(name)
    if found is None:
        raise ServiceError(404, "not-found", "The page has no such file.")
    return as_response(found)


def as_response(file: PageFile) -> Response:
    """The file, which a browser asks for each time, so that an upgrade is seen at once."""
    headers = {"Cache-Control": "no-cache", "Content-Security-Policy": CONTENT_SECURITY_POLICY}
    return Response(file.content, headers=headers, media_type=file.media_type)

"""/guide/…: the documents as a site of plain files, which `make docs` writes. They load nothing from elsewhere."""

from pathlib import Path
from stat import S_ISREG
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request, Response

from service.errors import ServiceError
from service.requests.routing import Route

router = APIRouter(include_in_schema=False, route_class=Route)

SITE: Final = Path(__file__).resolve().parents[2] / "build" / "guide"
_HEADERS: Final = {
    # A browser asks for each file each time, and is told that it has it: an upgrade is seen at once.
    "Cache-Control": "private, no-cache",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
}


@router.get("/guide")
async def enter() -> Response:
    """To the folder, whose pages name each other relative to it. The address names no host: it is the asker's."""
    return Response(status_code=307, headers={"Location": "guide/"})


@router.get("/guide/{path:path}")
def get_document(
    path: str,
    request: Request,
    q: Annotated[str, Query()] = "",  # noqa: ARG001  # what is searched for, which the page's own script reads
    v: Annotated[str, Query()] = "",  # noqa: ARG001  # which version of a style or script a page means
) -> Response:
    """A page of the site, or what a page names."""
    try:
        file, found = request.app.state.documents.lookup_path(path or "index.html")
    except (ValueError, OSError):  # a NUL, which no file's name has, or a name that is too long for one
        file, found = "", None
    if found is None or not S_ISREG(found.st_mode):
        raise ServiceError(
            404, "not-found", "The guide has no such page. Where it has none at all, `make docs` writes it."
        )
    answer: Response = request.app.state.documents.file_response(file, found, request.scope)
    answer.headers.update(_HEADERS)
    return answer

"""/docs: the guide to every request, to try them from, and the schema. Its script and style are the service's own."""

import base64
import hashlib
import re

from fastapi import APIRouter, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html

from service.requests.routing import Route

router = APIRouter(include_in_schema=False, route_class=Route)

FILES = "/static-offline-docs"
_SCHEMA = "/openapi.json"
_INLINE_SCRIPT = re.compile(rb"<script>(.*?)</script>", re.DOTALL)


@router.get(_SCHEMA)
def schema(request: Request) -> Response:
    """The schema of all requests, made in a thread: the framework would make it where every other request waits."""
    content: bytes = request.app.state.schema(request.scope.get("root_path", "").rstrip("/"))
    return Response(content, media_type="application/json")


@router.get("/docs")
async def guide(request: Request) -> Response:
    """Swagger UI, which sets styles of its own in the page but loads nothing from elsewhere."""
    root = request.scope.get("root_path", "")
    page = get_swagger_ui_html(
        openapi_url=f"{root}{_SCHEMA}",
        title=request.app.title,
        oauth2_redirect_url=None,
        swagger_js_url=f"{root}{FILES}/swagger-ui-bundle.js",
        swagger_css_url=f"{root}{FILES}/swagger-ui.css",
        swagger_favicon_url=f"{root}{FILES}/favicon.png",
    )
    script, *others = _INLINE_SCRIPT.findall(bytes(page.body))
    assert not others
    digest = base64.b64encode(hashlib.sha256(script).digest()).decode()
    page.headers["Content-Security-Policy"] = (
        f"default-src 'none'; script-src 'self' 'sha256-{digest}'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return page

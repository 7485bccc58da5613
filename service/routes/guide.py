"""/docs: the guide to every request, to try them from. Its script and style are files of the service's own."""

import base64
import hashlib
import re

from fastapi import APIRouter, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html

from service.routing import Route

router = APIRouter(include_in_schema=False, route_class=Route)

_FILES = "/static-offline-docs"
_INLINE_SCRIPT = re.compile(rb"<script>(.*?)</script>", re.DOTALL)


@router.get("/docs")
async def guide(request: Request) -> Response:
    """Swagger UI, which sets styles of its own in the page but loads nothing from elsewhere."""
    root = request.scope.get("root_path", "")
    page = get_swagger_ui_html(
        openapi_url=f"{root}{request.app.openapi_url}",
        title=request.app.title,
        oauth2_redirect_url=None,
        swagger_js_url=f"{root}{_FILES}/swagger-ui-bundle.js",
        swagger_css_url=f"{root}{_FILES}/swagger-ui.css",
        swagger_favicon_url=f"{root}{_FILES}/favicon.png",
    )
    script, *others = _INLINE_SCRIPT.findall(bytes(page.body))
    assert not others
    digest = base64.b64encode(hashlib.sha256(script).digest()).decode()
    page.headers["Content-Security-Policy"] = (
        f"default-src 'none'; script-src 'self' 'sha256-{digest}'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return page

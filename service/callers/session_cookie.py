"""The cookie that holds a browser's session: out of reach of scripts, of other sites and, by HTTPS, of other ports.

It is read here alone: Python up to 3.11.9 and 3.12.5 takes the square of a cookie's length (CVE-2024-7592).
"""

from fastapi import Response
from starlette.datastructures import Headers

NAME = "gauntlet_session"
# A browser takes a cookie of such a name only by HTTPS and from this very host.
_OVER_HTTPS = f"__Host-{NAME}"


def secret_in(headers: Headers, scheme: str) -> str | None:
    """The session's secret, if the request shows one: of two the first, which a browser sends for the narrower path."""
    wanted = _name(scheme)
    for header in headers.getlist("cookie"):
        for pair in header.split(";"):
            name, _, value = pair.strip().partition("=")
            if name == wanted:
                return value
    return None


def hand_out(response: Response, scheme: str, secret: str, *, lasts_s: float) -> None:
    """Have the browser show the secret for so long."""
    _set(response, scheme, secret, max(1, int(lasts_s)))


def take_back(response: Response, scheme: str) -> None:
    """Have the browser forget it."""
    _set(response, scheme, "", 0)


def _set(response: Response, scheme: str, value: str, lasts_s: int) -> None:
    response.set_cookie(
        _name(scheme), value, max_age=lasts_s, path="/", secure=scheme == "https", httponly=True, samesite="strict"
    )


def _name(scheme: str) -> str:
    return _OVER_HTTPS if scheme == "https" else NAME

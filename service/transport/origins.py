"""Whom the service answers: requests under one of its own names, and none that another site's page makes.

A browser sends such requests for any page it shows, from the machine that it runs on. Two things tell them:

- `Host` is the name the page came from, where that name's owner points it at this address later on (DNS rebinding).
  An address that stands in the place of a name cannot be pointed elsewhere.
- `Origin` and `Sec-Fetch-Site` say whose page makes the request, and no page can set them. A client that is no browser
  sends neither. A link may lead here from anywhere.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

from starlette.datastructures import Headers
from starlette.types import Scope

from gauntlet.spec.reading.messages import printable
from service.errors import ServiceError
from service.settings import ServiceSettings

_AUTHORITY = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[0-9a-z._-]+)(?::(?P<port>[0-9]{1,5}))?")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_READING = ("GET", "HEAD")


@dataclass(frozen=True)
class _Place:
    """The part of a URL that says where: a name in lower case or an address, and the port if it is told."""

    name: str
    port: int | None


class Door:
    """Lets in what is meant for the service that has these settings."""

    def __init__(self, settings: ServiceSettings) -> None:
        self._given = settings.allowed_hosts
        self._names = {"localhost", settings.host.lower(), *self._given}
        bound = _address(settings.host)
        self._any_address = bound is not None and bound.is_unspecified

    def require_welcome(self, scope: Scope) -> None:
        """Do nothing for a request that the service may answer.

        Raises:
            ServiceError: 421 if it names another host, 403 if another site's page makes it.
        """
        headers = Headers(scope=scope)
        named = headers.getlist("host")
        host = _place(named[0]) if len(named) == 1 else None
        if host is None or not self._is_ours(host.name):
            told = printable(", ".join(named)[:100])
            detail = f"This service does not go by the name {told!r}. GAUNTLET_ALLOWED_HOSTS may list it."
            raise ServiceError(421, "unknown-host", detail)
        if not (self._is_of_own_pages(headers, host) and _is_asked_for_here(scope["method"], headers)):
            detail = "A page of another site makes this request, and only links may lead here from there."
            raise ServiceError(403, "foreign-origin", detail)

    def _is_ours(self, name: str) -> bool:
        address = _address(name)
        if address is not None and (address.is_loopback or self._any_address):
            return True
        return name in self._names or _matches(name, self._given)

    def _is_of_own_pages(self, headers: Headers, host: _Place) -> bool:
        return all(self._is_own(origin, host) for origin in headers.getlist("origin"))

    def _is_own(self, origin: str, host: _Place) -> bool:
        scheme, _, rest = origin.partition("://")
        page, default = _place(rest), _DEFAULT_PORTS.get(scheme)
        if page is None or default is None:
            return False
        port = page.port or default
        if (page.name, port) == (host.name, host.port or default):
            return True
        # A proxy may pass a request on under a name that is not the one the browser knows.
        return port == default and _matches(page.name, self._given)


def is_own_pages(headers: Headers) -> bool:
    """Whether a browser says that a page of ours makes the request, which the door has let in."""
    return "origin" in headers or headers.get("sec-fetch-site") == "same-origin"


def _is_asked_for_here(method: str, headers: Headers) -> bool:
    """Whether a browser says that a page of ours asks, or its user; what is no browser says nothing."""
    if headers.get("sec-fetch-site", "none") in ("same-origin", "none"):
        return True
    follows_a_link = (headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest")) == ("navigate", "document")
    return follows_a_link and method in _READING


# A client goes by the same names again and again; a head is bounded, and so are these.
@lru_cache(maxsize=64)
def _place(text: str) -> _Place | None:
    found = _AUTHORITY.fullmatch(text.lower())
    if found is None:
        return None
    port = found["port"]
    return _Place(found["name"].strip("[]").rstrip("."), None if port is None else int(port))


@lru_cache(maxsize=64)
def _address(name: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(name)
    except ValueError:
        return None


def _matches(name: str, given: tuple[str, ...]) -> bool:
    """Whether `name` is given, by itself or as one below a `*.domain`."""
    return any(name == one or (one.startswith("*.") and name.endswith(one[1:])) for one in given)

"""Who may do what: every request but the open ones shows a token or a browser's session of one; its scope decides.

Denied by default and in one place, at the edge of the whole app: a route, a page or a file that is added later is
behind it too. Which scope a request needs follows from its method and path alone.
"""

import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote_to_bytes

import anyio
from sqlalchemy.orm import Session
from starlette.datastructures import Headers
from starlette.types import Scope as AsgiScope

from gauntlet.spec.asked.tokens import Scope
from service.callers import session_cookie
from service.callers.audit import Audit
from service.callers.failed_logins import FailedLogins
from service.callers.known_callers import KnownCallers
from service.errors import ServiceError
from service.requests.paths import compared
from service.settings import ServiceSettings
from service.transport.origins import is_own_pages
from store.accounts import secret_key, sessions, tokens
from store.accounts.token_text import LENGTH, PREFIX, is_token
from store.accounts.tokens import Caller
from store.database import Database

# They say that the service lives and serves, and nothing else.
HEALTH = frozenset({"/healthz", "/readyz"})
# What a browser loads before anybody has logged in, to log in with. No data.
_PAGE, _OF_THE_PAGE = "/", "/page/"
_SESSION = "/v1/session"
_READING = ("GET", "HEAD", "OPTIONS")
# Images and drafts are sent by POST, which changes nothing; who may only read logs in and out too.
_FOR_READERS = frozenset({"/v1/classifications", "/v1/experiments/validate", _SESSION})
_FOR_ADMINS = ("/v1/tokens", "/v1/audit")
# A look at the database takes a millisecond; requests that wait for a token's hold up no route's thread.
_LOOKS_AT_ONCE = 4


def is_open(method: str, path: str) -> bool:
    """Whether a request needs no login."""
    if method in ("GET", "HEAD") and (path == _PAGE or path.startswith(_OF_THE_PAGE)):
        return True
    return path in HEALTH or (method, path) == ("POST", _SESSION)


def scope_for(method: str, path: str) -> Scope:
    """The scope that a request needs."""
    if any(path == place or path.startswith(f"{place}/") for place in _FOR_ADMINS):
        return "admin"
    return "read" if method in _READING or path in _FOR_READERS else "submit"


_NO_TOKEN = "No token is given."  # noqa: S105  # a sentence
_TOKEN = re.compile(rf"{PREFIX}[0-9A-Za-z]{{{LENGTH - len(PREFIX)}}}".encode())


def require_no_token_in_url(request: AsgiScope) -> None:
    """Refuse a token where browsers, proxies and logs keep what they see.

    Raises:
        ServiceError: 422.
    """
    written = request["path"].encode(errors="replace") + b"?" + unquote_to_bytes(request.get("query_string", b""))
    if _TOKEN.search(written):
        detail = (
            "A token stands in the URL, where histories and logs keep it. Send it as `Authorization: Bearer TOKEN`, "
            "and revoke this one."
        )
        raise ServiceError(422, "token-in-url", detail)


class AccessUnsafe(Exception):
    """The service would be open to everybody, or to nobody."""


def require_safe(settings: ServiceSettings, database: Database) -> None:
    """Take up the first token, if a file is set for it, and see that somebody can open a service that wants tokens.

    Raises:
        AccessUnsafe: nobody could, or the file holds no token.
    """
    if not settings.auth_is_on:
        return
    key = secret_key.read_or_make(settings.secret_key_file)
    with database.writing() as session:
        if settings.first_token_file is not None:
            _take_up(session, key, settings.first_token_file)
        if not tokens.any_usable(session):
            raise AccessUnsafe(
                f"Others can reach the service on {settings.host}, so it wants a login, and there is no token yet. "
                "Make one with `gauntlet tokens create --owner YOU --scope admin`, or set GAUNTLET_AUTH=off for an "
                "open service."
            )


def _take_up(session: Session, key: bytes, file: Path) -> None:
    try:
        text = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise AccessUnsafe(f"GAUNTLET_FIRST_TOKEN_FILE: {file} cannot be read.") from error
    if not is_token(text):
        raise AccessUnsafe(
            f"GAUNTLET_FIRST_TOKEN_FILE: {file} does not hold a token. `gauntlet tokens generate >{file}` makes one."
        )
    tokens.take_up(session, key, text)


class Access:
    """Lets through the requests whose token may make them.

    `is_on` says whether tokens are asked for at all, `key` is what they are hashed under; refusals go into `audit`.
    """

    def __init__(self, settings: ServiceSettings, database: Database) -> None:
        self.is_on = settings.auth_is_on
        self.key = secret_key.read_or_make(settings.secret_key_file) if self.is_on else b""
        self._database = database
        self.audit = Audit(database)
        self._failures = FailedLogins()
        self._known = KnownCallers(database, self.key)
        self._looks: anyio.CapacityLimiter | None = None

    async def require_allowed(self, request: AsgiScope) -> None:
        """Do nothing for a request that may be made; who makes it is in its state as `caller`, None without a login.

        Raises:
            ServiceError: 401 without a token or session that opens anything, 403 if it does not open this, 429 after
                too many tokens that open nothing.
        """
        request["state"]["caller"] = None
        if not self.is_on or is_open(request["method"], compared(request)):
            return
        headers = Headers(scope=request)
        token, secret = token_in(headers), session_cookie.secret_in(headers, request["scheme"])
        if token is None and secret is None:
            raise _no_login(_NO_TOKEN)
        if token is None and request["method"] not in _READING and not is_own_pages(headers):
            detail = "A session is for the service's own page, and this request does not say that it comes from there."
            raise ServiceError(403, "foreign-origin", detail)
        changes, shown = self._known.changes(), token if token is not None else secret or ""
        caller = self._known.find(shown, changes)
        if caller is None:
            # Made inside the event loop that it belongs to.
            self._looks = self._looks or anyio.CapacityLimiter(_LOOKS_AT_ONCE)
            caller = await anyio.to_thread.run_sync(self._caller, request, token, secret or "", limiter=self._looks)
            self._known.keep(shown, caller, changes)
        request["state"]["caller"] = caller
        needed = scope_for(request["method"], compared(request))
        if not caller.may(needed):
            detail = f"This takes a token of scope {needed}; the one given has scope {caller.scope}."
            await self.audit.note_refusal(request, "scope-too-small")
            raise ServiceError(403, "scope-too-small", detail)

    def log_in(self, request: AsgiScope, token: str | None) -> Caller:
        """Whose token it is that the request shows, None if it shows none.

        Raises:
            ServiceError: 401 if it opens nothing, 429 after too many of those.
        """
        if token is None:
            raise _no_login(_NO_TOKEN)
        caller = self._look(lambda session: tokens.caller(session, self.key, token))
        if caller is None:
            self._failures.note((request.get("client") or ("", 0))[0])
            raise _no_login("The token opens nothing: it is not known here.")
        return caller

    def _caller(self, request: AsgiScope, token: str | None, secret: str) -> Caller:
        if token is not None:
            return self.log_in(request, token)
        caller = self._look(lambda session: sessions.caller(session, self.key, secret))
        if caller is None:
            # Not counted as a failed login: every open page of a session that ended asks on.
            raise _no_login("The session has ended.")
        return caller

    def _look(self, find: Callable[[Session], Caller | None]) -> Caller | None:
        with self._database.reading() as session:
            caller = find(session)
        if caller is not None and caller.use_is_news:
            with self._database.writing() as session:
                tokens.note_use(session, caller.token)
        return caller


def token_in(headers: Headers) -> str | None:
    """The token that a request shows in its header, if it does."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _no_login(detail: str) -> ServiceError:
    told = f"{detail} Send `Authorization: Bearer TOKEN`; `gauntlet tokens create` on the server's machine makes one."
    return ServiceError(401, "no-login", told, headers={"WWW-Authenticate": "Bearer"})

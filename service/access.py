"""Who may do what: every request but those of the open paths shows a token, and its scope decides.

Denied by default and in one place, at the edge of the whole app: a route, a page or a file that is added later is
behind it too. Which scope a request needs follows from its method and path alone.
"""

import time
from collections import OrderedDict
from pathlib import Path

import anyio
from sqlalchemy.orm import Session
from starlette.datastructures import Headers
from starlette.types import Scope as AsgiScope

from gauntlet.spec.tokens import Scope
from service.errors import ServiceError
from service.settings import ServiceSettings
from store import secret_key, tokens
from store.database import Database
from store.token_text import is_token
from store.tokens import Caller

# They say that the service lives and serves, and nothing else.
OPEN = frozenset({"/healthz", "/readyz"})
_READING = ("GET", "HEAD", "OPTIONS")
# POST, since images are sent; nothing is changed by it.
_READ_BY_POST = frozenset({"/v1/classifications"})
_FOR_ADMINS = ("/v1/tokens",)
# A look at the database takes a millisecond; requests that wait for a token's hold up no route's thread.
_LOOKS_AT_ONCE = 8


def scope_for(method: str, path: str) -> Scope:
    """The scope that a request needs."""
    if any(path == place or path.startswith(f"{place}/") for place in _FOR_ADMINS):
        return "admin"
    return "read" if method in _READING or path in _READ_BY_POST else "submit"


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
                f"Listening on {settings.host} takes a login, and there is no token yet. Make one with "
                "`gauntlet tokens create --owner YOU --scope admin`, or set GAUNTLET_AUTH=off for an open service."
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
    """Lets through the requests whose token may make them."""

    def __init__(self, settings: ServiceSettings, database: Database) -> None:
        self._on = settings.auth_is_on
        self._key = secret_key.read_or_make(settings.secret_key_file) if self._on else b""
        self._database = database
        self._failures = _Failures()
        self._looks: anyio.CapacityLimiter | None = None

    async def require_allowed(self, request: AsgiScope) -> None:
        """Do nothing for a request that may be made; who makes it is in its state as `caller`, None without a login.

        Raises:
            ServiceError: 401 without a token that opens anything, 403 if it does not open this, 429 after too many
                tokens that open nothing.
        """
        request["state"]["caller"] = None
        if not self._on or request["path"] in OPEN:
            return
        shown = _token_of(Headers(scope=request))
        caller = None if shown is None else await self._look(shown)
        if caller is None:
            if shown is not None:
                self._failures.note((request.get("client") or ("", 0))[0])
            raise _no_login("No token is given." if shown is None else "The token opens nothing: it is not known here.")
        needed = scope_for(request["method"], request["path"])
        if not caller.may(needed):
            detail = f"This takes a token of scope {needed}; the one given has scope {caller.scope}."
            raise ServiceError(403, "scope-too-small", detail)
        request["state"]["caller"] = caller

    async def _look(self, token: str) -> Caller | None:
        # Made inside the event loop that it belongs to.
        self._looks = self._looks or anyio.CapacityLimiter(_LOOKS_AT_ONCE)
        return await anyio.to_thread.run_sync(self._caller, token, limiter=self._looks)

    def _caller(self, token: str) -> Caller | None:
        with self._database.reading() as session:
            caller = tokens.caller(session, self._key, token)
        if caller is not None and caller.use_is_news:
            with self._database.writing() as session:
                tokens.note_use(session, caller.token)
        return caller


class _Failures:
    """How often an address showed a token that opens nothing, lately. Only the latest addresses are remembered.

    Who shows a token that does open something is never held up: many may come from behind one proxy.
    """

    _AT_MOST = 20
    _WITHIN_S = 60.0
    _ADDRESSES = 10_000

    def __init__(self) -> None:
        self._noted: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def note(self, address: str) -> None:
        """Count one more.

        Raises:
            ServiceError: 429 after more of them than anybody's typing errors explain.
        """
        now = time.monotonic()
        count, since = self._noted.pop(address, (0, now))
        if now - since > self._WITHIN_S:
            count, since = 0, now
        self._noted[address] = (count + 1, since)
        if len(self._noted) > self._ADDRESSES:
            self._noted.popitem(last=False)
        if count >= self._AT_MOST:
            detail = f"{count} requests from this address showed a token that opens nothing. Try again later."
            wait_s = int(since + self._WITHIN_S - now) + 1
            raise ServiceError(429, "too-many-failed-logins", detail, headers={"Retry-After": str(wait_s)})


def _token_of(headers: Headers) -> str | None:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _no_login(detail: str) -> ServiceError:
    told = f"{detail} Send `Authorization: Bearer TOKEN`; `gauntlet tokens create` on the server's machine makes one."
    return ServiceError(401, "no-login", told, headers={"WWW-Authenticate": "Bearer"})

"""Where requests go and what they say of who sends them, from arguments and settings."""

import re
import ssl
from collections.abc import Sequence
from datetime import datetime
from urllib.parse import quote

import httpx2

from gauntlet.client.errors import GauntletClientError
from gauntlet.client.settings import ClientSettings
from gauntlet.settings import SettingsInvalid

_LAST_PORT = 65_535
_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")


def place(*parts: str) -> str:
    """A path below `/v1` of names and ids.

    Raises:
        GauntletClientError: one of them can be no id, and might be taken for another path.
    """
    for part in parts:
        if not _ID.fullmatch(part):
            raise GauntletClientError(f"{part!r} is no id: one looks like exp_01jz8k… or run_01jz8k….")
    return "/v1/" + "/".join(map(quote, parts))


def listed(values: str | Sequence[str]) -> list[str]:
    """Several values of a parameter; one that is given as it is is one, and not as many as it has letters."""
    return [values] if isinstance(values, str) else list(values)


def moment(value: datetime | None) -> str | None:
    """A moment as a parameter says it, with its time zone."""
    return None if value is None else value.isoformat()


def settings() -> ClientSettings:
    try:
        return ClientSettings.from_environment()
    except SettingsInvalid as error:
        raise GauntletClientError(str(error)) from error


def address_of(url: str) -> httpx2.URL:
    try:
        address = httpx2.URL(url)
    except httpx2.InvalidURL as error:
        raise _no_address(url) from error
    if address.scheme not in {"http", "https"} or not address.host or (address.port or 0) > _LAST_PORT:
        raise _no_address(url)
    return address


def _no_address(url: str) -> GauntletClientError:
    return GauntletClientError(f"{url!r} is no address of a service; one looks like http://127.0.0.1:8000.")


def certificates(schemes: set[str]) -> ssl.SSLContext:
    """Whom to trust, the environment's choice; nobody where nothing is encrypted, as reading them takes 40 ms."""
    return httpx2.create_ssl_context() if "https" in schemes else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def authorization(token: str) -> dict[str, str]:
    if not token:
        return {}
    if not re.fullmatch(r"[\x21-\x7e]+", token):
        raise GauntletClientError("The token (GAUNTLET_TOKEN) holds a space or another character that no token has.")
    return {"Authorization": f"Bearer {token}"}

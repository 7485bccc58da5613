"""Requests to one service: sent, sent again where that is safe, and their answers read as values."""

import re
import ssl
import time
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import quote

import httpx2
from pydantic import BaseModel, ValidationError

from client.errors import GauntletClientError, Refused, Unintelligible, Unreachable
from client.proxies import proxy_for
from client.settings import ClientSettings
from gauntlet.resources import Problem
from store.environment import SettingsInvalid

# Enough for a short hiccup of the service; what may take longer waits by itself.
_PAUSES_S = (0.2, 0.5, 1.5)
_TRY_AGAIN = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}
_LONGEST_PAUSE_S = 30.0
# A host that drops every packet is told of after the pauses, and should be within a minute.
_CONNECT_WITHIN_S = 10.0
_LAST_PORT = 65_535
_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")

Value = TypeVar("Value", bound=BaseModel)


class Connection:
    """What a client sends its requests through.

    A remote service is reached through the environment's proxy, if it names one; `proxied=False` never is, nor is
    loopback.
    """

    def __init__(self, url: str | None, *, token: str | None, timeout_s: float, proxied: bool) -> None:
        settings = _settings()
        address = _address((url or settings.address).rstrip("/"))
        # As messages show it: without a name and password.
        self.url = str(address.copy_with(username=None, password=None)) if address.userinfo else str(address)
        self._proxy = proxy_for(address) if proxied else None
        try:
            self._http = httpx2.Client(
                base_url=address,
                timeout=httpx2.Timeout(timeout_s, connect=min(timeout_s, _CONNECT_WITHIN_S)),
                headers=_authorization(token or settings.token),
                proxy=self._proxy,
                trust_env=False,  # the proxy was read already
                verify=_certificates({address.scheme, self._proxy.url.scheme if self._proxy else ""}),
            )
        except ImportError as error:
            raise GauntletClientError(
                f"The environment names {self._proxy_named}, which speaks SOCKS: Python's package socksio must be "
                "installed for it."
            ) from error

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def answers(self, path: str) -> bool:
        """Whether the service answers a GET there with success; asked once."""
        try:
            return self._http.get(path).is_success
        except httpx2.RequestError:
            return False

    def read(self, kind: type[Value], method: str, path: str, **request: Any) -> Value:
        """The answer as a value.

        Raises:
            GauntletClientError: as `send`, or the answer is not such a value.
        """
        answer = self.send(method, path, **request)
        try:
            return kind.model_validate_json(answer.content)
        except ValidationError as error:
            raise self._unintelligible(answer) from error

    def send(self, method: str, path: str, *, pauses_s: Sequence[float] = _PAUSES_S, **request: Any) -> httpx2.Response:
        """The answer, of success, after as many tries as there are pauses, and one.

        Raises:
            Unreachable: none came.
            Refused: it is a problem.
            Unintelligible: it is no Gauntlet's.
        """
        try:
            answer = self._request(method, path, pauses_s, **request)
        except httpx2.RequestError as error:
            raise Unreachable(self._no_answer(error)) from error
        if answer.is_success:
            return answer
        try:
            problem = Problem.model_validate_json(answer.content)
        except ValidationError as error:
            raise self._unintelligible(answer) from error
        raise Refused(problem)

    def _request(self, method: str, path: str, pauses_s: Sequence[float], **request: Any) -> httpx2.Response:
        """Send, and send again after each pause where no answer came, or one that says to come again.

        There are no pauses for what is not safe to repeat.
        """
        for pause_s in pauses_s:
            try:
                answer = self._http.request(method, path, **request)
            except (httpx2.NetworkError, httpx2.RemoteProtocolError, httpx2.TimeoutException):
                time.sleep(pause_s)
                continue
            if answer.status_code not in _TRY_AGAIN:
                return answer
            time.sleep(max(pause_s, _asked_for_s(answer)))
        return self._http.request(method, path, **request)

    def _no_answer(self, error: httpx2.RequestError) -> str:
        why = f" ({error})" if str(error) else ""
        if self._proxy is not None:
            return (
                f"No Gauntlet answers at {self.url} through {self._proxy_named}{why}. The environment names that proxy "
                "(http_proxy, https_proxy, all_proxy); no_proxy lists what is reached without it."
            )
        return f"No Gauntlet answers at {self.url}{why}. Is it running? Try `gauntlet up`."

    def _unintelligible(self, answer: httpx2.Response) -> Unintelligible:
        kind = answer.headers.get("Content-Type", "").partition(";")[0] or "of no type"
        what = f"{self.url} answers, but not as a Gauntlet of this version does ({answer.status_code}, {kind})."
        if self._proxy is not None:
            message = f"{what} It may have been {self._proxy_named} of the environment."
        elif answer.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
            message = f"{what} If it is one, its log says what went wrong."
        else:
            message = f"{what} Are GAUNTLET_URL and GAUNTLET_PORT right?"
        return Unintelligible(message, answer.status_code)

    @property
    def _proxy_named(self) -> str:
        """Without its password, which the URL of a `Proxy` no longer holds."""
        return f"the proxy {self._proxy.url}" if self._proxy is not None else "the proxy"


def place(*parts: str) -> str:
    """A path below `/v1` of names and ids.

    Raises:
        GauntletClientError: one of them can be no id, and might be taken for another path.
    """
    for part in parts:
        if not _ID.fullmatch(part):
            raise GauntletClientError(f"{part!r} is no id: one looks like exp_01jz8k… or run_01jz8k….")
    return "/v1/" + "/".join(map(quote, parts))


def _settings() -> ClientSettings:
    try:
        return ClientSettings.from_environment()
    except SettingsInvalid as error:
        raise GauntletClientError(str(error)) from error


def _address(url: str) -> httpx2.URL:
    try:
        address = httpx2.URL(url)
    except httpx2.InvalidURL as error:
        raise _no_address(url) from error
    if address.scheme not in {"http", "https"} or not address.host or (address.port or 0) > _LAST_PORT:
        raise _no_address(url)
    return address


def _no_address(url: str) -> GauntletClientError:
    return GauntletClientError(f"{url!r} is no address of a service; one looks like http://127.0.0.1:8000.")


def _certificates(schemes: set[str]) -> ssl.SSLContext:
    """Whom to trust, the environment's choice; nobody where nothing is encrypted, as reading them takes 40 ms."""
    return httpx2.create_ssl_context() if "https" in schemes else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _authorization(token: str) -> dict[str, str]:
    if not token:
        return {}
    if not re.fullmatch(r"[\x21-\x7e]+", token):
        raise GauntletClientError("The token (GAUNTLET_TOKEN) holds a space or another character that no token has.")
    return {"Authorization": f"Bearer {token}"}


def _asked_for_s(answer: httpx2.Response) -> float:
    """How long the answer asks to wait, within bounds; 0 where it does not say so in seconds."""
    asked = answer.headers.get("Retry-After", "")
    return min(float(asked), _LONGEST_PAUSE_S) if asked.isdecimal() else 0

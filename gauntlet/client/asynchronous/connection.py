"""Requests to one service: sent, sent again where that is safe, and their answers read as values."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any, TypeVar

import httpx2
from pydantic import BaseModel, ValidationError

from gauntlet.client.addresses import address_of, authorization, certificates, settings
from gauntlet.client.errors import GauntletClientError, Refused, Unintelligible, Unreachable
from gauntlet.client.proxies import proxy_for
from gauntlet.client.repeats import PAUSES_S, TRY_AGAIN, asked_for_s
from gauntlet.resources import Page, Problem, Resource

# A host that drops every packet is told of after the pauses, and should be within a minute.
_CONNECT_WITHIN_S = 10.0
# A service that has nothing to tell on a stream says so three times as often.
_SILENT_FOR_S = 45.0
_PAGE = 100

Value = TypeVar("Value", bound=BaseModel)
Item = TypeVar("Item", bound=Resource)


class Connection:
    """What a client sends its requests through.

    A remote service is reached through the environment's proxy, if it names one; `proxied=False` never is, nor is
    loopback.
    """

    def __init__(self, url: str | None, *, token: str | None, timeout_s: float, proxied: bool) -> None:
        named = settings()
        address = address_of((url or named.address).rstrip("/"))
        # As messages show it: without a name and password.
        self.url = str(address.copy_with(username=None, password=None)) if address.userinfo else str(address)
        self._proxy = proxy_for(address) if proxied else None
        try:
            self._http = httpx2.AsyncClient(
                base_url=address,
                timeout=httpx2.Timeout(timeout_s, connect=min(timeout_s, _CONNECT_WITHIN_S)),
                headers=authorization(token or named.token),
                proxy=self._proxy,
                trust_env=False,  # the proxy was read already
                verify=certificates({address.scheme, self._proxy.url.scheme if self._proxy else ""}),
            )
        except ImportError as error:
            raise GauntletClientError(
                f"The environment names {self._proxy_named}, which speaks SOCKS: Python's package socksio must be "
                "installed for it."
            ) from error

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def answers(self, path: str) -> bool:
        """Whether the service answers a GET there with success; asked once."""
        try:
            answer = await self._http.get(path)
        except httpx2.RequestError:
            return False
        return answer.is_success

    async def read(self, kind: type[Value], method: str, path: str, **request: Any) -> Value:
        """The answer as a value.

        Raises:
            GauntletClientError: as `send`, or the answer is not such a value.
        """
        answer = await self.send(method, path, **request)
        try:
            # What a later service says besides is left out, within results and reports too.
            return kind.model_validate_json(answer.content, extra="ignore")
        except ValidationError as error:
            raise self._unintelligible(answer) from error

    async def text(self, path: str, **params: str) -> str:
        """What is there, as text.

        Raises:
            GauntletClientError: as `send`.
        """
        answer = await self.send("GET", path, params=params)
        return answer.text

    async def all(self, kind: type[Item], path: str, **filters: str | list[str] | None) -> AsyncIterator[Item]:
        """All of a list, page by page; `filters` that are None are not sent."""
        params: dict[str, str | int | list[str]] = {"limit": _PAGE}
        params |= {key: value for key, value in filters.items() if value is not None}
        while True:
            page = await self.read(Page[kind], "GET", path, params=params)  # type: ignore[valid-type]  # a type at run time
            for item in page.data:
                yield item
            if page.next is None:
                return
            params["after"] = page.next

    async def frames(
        self, path: str, params: Mapping[str, Any], headers: Mapping[str, str]
    ) -> AsyncIterator[dict[str, str]]:
        """The frames of a stream of events as they come, each its fields, until the connection ends; asked once.

        Raises:
            GauntletClientError: as `send`.
        """
        told = {"Accept": "text/event-stream", **headers}
        try:
            async with self._http.stream(
                "GET", path, params=params, headers=told, timeout=httpx2.Timeout(_CONNECT_WITHIN_S, read=_SILENT_FOR_S)
            ) as answer:
                if not answer.is_success:
                    await answer.aread()
                    raise self._refusal(answer)
                frame: dict[str, str] = {}
                async for line in answer.aiter_lines():
                    if not line and frame:
                        yield frame
                        frame = {}
                    name, _, value = line.partition(": ")
                    if name:
                        frame[name] = value
        except httpx2.RequestError as error:
            raise Unreachable(self._no_answer(error)) from error

    async def send(
        self, method: str, path: str, *, pauses_s: Sequence[float] = PAUSES_S, **request: Any
    ) -> httpx2.Response:
        """The answer, of success, after as many tries as there are pauses, and one.

        Raises:
            Unreachable: none came.
            Refused: it is a problem.
            Unintelligible: it is no Gauntlet's.
            GauntletClientError: a text of the request has a character that cannot be sent.
        """
        try:
            answer = await self._request(method, path, pauses_s, **request)
        except httpx2.RequestError as error:
            raise Unreachable(self._no_answer(error)) from error
        except UnicodeEncodeError as error:
            raise GauntletClientError(f"A text of the request cannot be written: {error}.") from error
        if answer.is_success:
            return answer
        raise self._refusal(answer)

    def _refusal(self, answer: httpx2.Response) -> GauntletClientError:
        try:
            return Refused(Problem.model_validate_json(answer.content))
        except ValidationError as error:
            refusal = self._unintelligible(answer)
            refusal.__cause__ = error
            return refusal

    async def _request(self, method: str, path: str, pauses_s: Sequence[float], **request: Any) -> httpx2.Response:
        """Send, and send again after each pause where no answer came, or one that says to come again.

        There are no pauses for what is not safe to repeat.
        """
        for pause_s in pauses_s:
            try:
                answer = await self._http.request(method, path, **request)
            except (httpx2.NetworkError, httpx2.RemoteProtocolError, httpx2.TimeoutException):
                await asyncio.sleep(pause_s)
                continue
            if answer.status_code not in TRY_AGAIN:
                return answer
            await asyncio.sleep(max(pause_s, asked_for_s(answer)))
        return await self._http.request(method, path, **request)

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

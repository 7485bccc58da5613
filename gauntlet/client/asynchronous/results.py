"""Results that were measured elsewhere."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

from gauntlet.client.addresses import place
from gauntlet.client.asynchronous.connection import Connection
from gauntlet.client.documents import body
from gauntlet.rendering.elsewhere import ElsewhereFormat
from gauntlet.resources import Result
from gauntlet.results.elsewhere import ElsewhereResult


class Results:
    _http: Connection

    async def bring_result(self, result: ElsewhereResult | Mapping[str, Any]) -> Result:
        """Keep what an evaluation by the library found, marked as measured elsewhere. Not sent again if unanswered."""
        return await self._http.read(Result, "POST", "/v1/results", pauses_s=(), **body(result))

    def results(self) -> AsyncIterator[Result]:
        """Results that were measured elsewhere, newest first."""
        return self._http.all(Result, "/v1/results")

    async def result(self, identifier: str) -> Result:
        """One of them."""
        return await self._http.read(Result, "GET", place("results", identifier))

    async def rendered_result(self, identifier: str, format: ElsewhereFormat) -> str:
        """One of them as Markdown, CSV or JSON."""
        answer = await self._http.send("GET", place("results", identifier), params={"format": format})
        return answer.text

    async def delete_result(self, identifier: str) -> None:
        """Forget one."""
        await self._http.send("DELETE", place("results", identifier))

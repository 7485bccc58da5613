"""Results that were measured elsewhere."""

from collections.abc import Iterator, Mapping
from typing import Any

from gauntlet.client.addresses import place
from gauntlet.client.documents import body
from gauntlet.client.synchronous.connection import Connection
from gauntlet.rendering.elsewhere import ElsewhereFormat
from gauntlet.resources import Result
from gauntlet.results.elsewhere import ElsewhereResult


class Results:
    _http: Connection

    def bring_result(self, result: ElsewhereResult | Mapping[str, Any]) -> Result:
        """Keep what an evaluation by the library found, marked as measured elsewhere. Not sent again if unanswered."""
        return self._http.read(Result, "POST", "/v1/results", pauses_s=(), **body(result))

    def results(self) -> Iterator[Result]:
        """Results that were measured elsewhere, newest first."""
        return self._http.all(Result, "/v1/results")

    def result(self, identifier: str) -> Result:
        """One of them."""
        return self._http.read(Result, "GET", place("results", identifier))

    def rendered_result(self, identifier: str, format: ElsewhereFormat) -> str:
        """One of them as Markdown, CSV or JSON."""
        answer = self._http.send("GET", place("results", identifier), params={"format": format})
        return answer.text

    def delete_result(self, identifier: str) -> None:
        """Forget one."""
        self._http.send("DELETE", place("results", identifier))

"""The client: one method per thing the API does, values in and out."""

from types import TracebackType
from typing import Self

from gauntlet.client.synchronous.checkpoints import Checkpoints
from gauntlet.client.synchronous.comparisons import Comparisons
from gauntlet.client.synchronous.connection import Connection
from gauntlet.client.synchronous.datasets import Datasets
from gauntlet.client.synchronous.evaluations import Evaluations
from gauntlet.client.synchronous.events import Events
from gauntlet.client.synchronous.experiments import Experiments
from gauntlet.client.synchronous.overview import Overview
from gauntlet.client.synchronous.results import Results
from gauntlet.client.synchronous.runs import Runs
from gauntlet.client.synchronous.tokens import Tokens
from gauntlet.client.synchronous.webhooks import Webhooks


class GauntletClient(
    Experiments, Runs, Evaluations, Results, Comparisons, Checkpoints, Datasets, Events, Overview, Tokens, Webhooks
):
    """A client of the service at `url` (default: `GAUNTLET_URL`, else this machine's port `GAUNTLET_PORT` or 8000).

    A remote service is reached through the environment's proxy, if it names one, unless `proxied` is False; loopback
    never is. Where the environment's settings are not valid, making one raises `GauntletClientError`. Every method
    raises `Refused` where the service answers with a problem, `Unreachable` where it does not answer, and
    `Unintelligible` where what answers is no Gauntlet; all are `GauntletClientError`s.
    """

    def __init__(
        self, url: str | None = None, *, token: str | None = None, timeout_s: float = 60, proxied: bool = True
    ) -> None:
        self._http = Connection(url, token=token, timeout_s=timeout_s, proxied=proxied)

    @property
    def url(self) -> str:
        """Where the service is."""
        return self._http.url

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def ready(self) -> bool:
        """Whether the service answers and can serve."""
        return self._http.answers("/readyz")

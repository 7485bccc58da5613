"""Checkpoints beside each other."""

from collections.abc import Mapping, Sequence
from typing import Any

from gauntlet.client.addresses import listed
from gauntlet.client.documents import submission
from gauntlet.client.synchronous.connection import Connection
from gauntlet.report.compared.leaderboard import Leaderboard
from gauntlet.report.compared.transfers import TransferMatrix
from gauntlet.resources import (
    Evaluation,
    Page,
)
from gauntlet.spec.evaluations.transfers import TransferRequest


class Comparisons:
    _http: Connection

    def leaderboard(
        self, *, attack: str | None = None, dataset: str | None = None, limit: int | None = None
    ) -> Leaderboard:
        """Checkpoints by robust accuracy, one list per protocol; of one kind of attack or data set if it is named."""
        filters = {"attack": attack, "dataset": dataset, "limit": limit}
        given = {key: value for key, value in filters.items() if value is not None}
        return self._http.read(Leaderboard, "GET", "/v1/leaderboard", params=given)

    def transfer(
        self, request: TransferRequest | Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> list[Evaluation]:
        """Queue one evaluation per checkpoint, attacked with the examples made on each of them."""
        answer = self._http.read(Page[Evaluation], "POST", "/v1/transfers", **submission(request, idempotency_key))
        return list(answer.data)

    def transfers(
        self,
        checkpoints: str | Sequence[str],
        *,
        eps: str,
        norm: str = "Linf",
        steps: int | None = None,
        loss: str | None = None,
    ) -> TransferMatrix:
        """The transfer matrix of these checkpoints as far as it has been measured."""
        filters = {"eps": eps, "norm": norm, "steps": steps, "loss": loss}
        given = {key: value for key, value in filters.items() if value is not None}
        params = {"checkpoint": listed(checkpoints)} | given
        return self._http.read(TransferMatrix, "GET", "/v1/transfers", params=params)

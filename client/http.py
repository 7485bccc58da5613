"""The HTTP client: one method per thing the API does, values in and out."""

import json
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx2
from pydantic import ValidationError

from client.errors import GauntletClientError, Refused, Unreachable
from client.settings import ClientSettings
from gauntlet.rendering import FigureName, Format
from gauntlet.report.leaderboard import Leaderboard
from gauntlet.report.report import Report
from gauntlet.report.transfers import TransferMatrix
from gauntlet.resources import (
    Checkpoint,
    Classification,
    EpochMetrics,
    Evaluation,
    Experiment,
    ImageResult,
    ImportedCheckpoint,
    NewToken,
    Page,
    Problem,
    Resource,
    Run,
    RunEvent,
    Token,
)
from gauntlet.spec.checkpoint_card import ImportCard
from gauntlet.spec.evaluation import EvaluationRequest
from gauntlet.spec.experiment import ExperimentSpec
from gauntlet.spec.kinds import Spec
from gauntlet.spec.tokens import TokenRequest
from gauntlet.spec.transfers import TransferRequest
from store.environment import SettingsInvalid

_PAGE = 100
# Enough for a restart of the service.
_PAUSES_S = (0.2, 0.5, 1.5)
_TRY_AGAIN = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}
_LONGEST_PAUSE_S = 30.0
# A host that drops every packet is told of after the pauses, and should be within a minute.
_CONNECT_WITHIN_S = 10.0
# The service builds the model and tries it before it answers.
_IMPORT_TIMEOUT_S = 600

T = TypeVar("T", bound=Resource)


class GauntletClient:
    """A client of the service at `url` (default: `GAUNTLET_URL`, else this machine's port `GAUNTLET_PORT` or 8000).

    Where the environment's settings are not valid, making one raises `GauntletClientError`.
    Every method raises `Refused` where the service answers with a problem and `Unreachable` where it does not answer.
    """

    def __init__(self, url: str | None = None, *, token: str | None = None, timeout_s: float = 60) -> None:
        try:
            settings = ClientSettings.from_environment()
        except SettingsInvalid as error:
            raise GauntletClientError(str(error)) from error
        token = token or settings.token
        self.url = (url or settings.address).rstrip("/")
        self._http = httpx2.Client(
            base_url=self.url,
            timeout=httpx2.Timeout(timeout_s, connect=min(timeout_s, _CONNECT_WITHIN_S)),
            headers={"Authorization": f"Bearer {token}"} if token else {},
        )

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
        try:
            return self._http.get("/readyz").is_success
        except httpx2.TransportError:
            return False

    def submit(self, spec: ExperimentSpec | Mapping[str, Any], *, idempotency_key: str | None = None) -> Experiment:
        """Queue an experiment: a spec, or the same as plain data such as `{"preset": "quickstart"}`."""
        return self._read(Experiment, "POST", "/v1/experiments", **_submission(spec, idempotency_key))

    def experiment(self, identifier: str) -> Experiment:
        """One experiment."""
        return self._read(Experiment, "GET", f"/v1/experiments/{identifier}")

    def experiments(self) -> Iterator[Experiment]:
        """All experiments, newest first."""
        return self._all(Experiment, "/v1/experiments")

    def cancel_experiment(self, identifier: str) -> Experiment:
        """Cancel what has not ended of an experiment."""
        return self._read(Experiment, "POST", f"/v1/experiments/{identifier}/cancel")

    def report(self, experiment: str) -> Report:
        """An experiment's report so far."""
        return Report.model_validate_json(self._send("GET", f"/v1/experiments/{experiment}/report").content)

    def report_text(self, experiment: str, format: Format) -> str:
        """The same as a page (`html`), `md`, `csv`, `tex` or `json`."""
        return self._send("GET", f"/v1/experiments/{experiment}/report", params={"format": format}).text

    def figure(self, experiment: str, name: FigureName) -> str:
        """A figure of the report, as SVG."""
        return self._send("GET", f"/v1/experiments/{experiment}/figures/{name}.svg").text

    def run(self, identifier: str) -> Run:
        """One run."""
        return self._read(Run, "GET", f"/v1/runs/{identifier}")

    def runs(self, experiment: str | None = None) -> Iterator[Run]:
        """Runs, newest first; of one experiment if it is named."""
        return self._all(Run, "/v1/runs", experiment=experiment)

    def cancel_run(self, identifier: str) -> Run:
        """Cancel a run."""
        return self._read(Run, "POST", f"/v1/runs/{identifier}/cancel")

    def metrics(self, run: str) -> Iterator[EpochMetrics]:
        """A run's epochs in order."""
        return self._all(EpochMetrics, f"/v1/runs/{run}/metrics")

    def metrics_csv(self, run: str) -> str:
        """The same as CSV."""
        return self._send("GET", f"/v1/runs/{run}/metrics", params={"format": "csv"}).text

    def events(self, run: str) -> Iterator[RunEvent]:
        """A run's events in order."""
        return self._all(RunEvent, f"/v1/runs/{run}/events")

    def evaluate(
        self, request: EvaluationRequest | Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> Evaluation:
        """Queue an evaluation: a request, or the same as plain data such as `{"checkpoint": "ckpt_…"}`."""
        return self._read(Evaluation, "POST", "/v1/evaluations", **_submission(request, idempotency_key))

    def evaluations(
        self, *, experiment: str | None = None, run: str | None = None, checkpoint: str | None = None
    ) -> Iterator[Evaluation]:
        """Evaluations, newest first; of one experiment, run or checkpoint if it is named."""
        return self._all(Evaluation, "/v1/evaluations", experiment=experiment, run=run, checkpoint=checkpoint)

    def evaluation(self, identifier: str) -> Evaluation:
        """One evaluation."""
        return self._read(Evaluation, "GET", f"/v1/evaluations/{identifier}")

    def cancel_evaluation(self, identifier: str) -> Evaluation:
        """Cancel an evaluation."""
        return self._read(Evaluation, "POST", f"/v1/evaluations/{identifier}/cancel")

    def images(self, evaluation: str) -> Iterator[ImageResult]:
        """What became of each image of an evaluation so far, in the test set's order."""
        return self._all(ImageResult, f"/v1/evaluations/{evaluation}/images")

    def images_csv(self, evaluation: str) -> str:
        """The same as CSV."""
        return self._send("GET", f"/v1/evaluations/{evaluation}/images", params={"format": "csv"}).text

    def leaderboard(
        self, *, attack: str | None = None, dataset: str | None = None, limit: int | None = None
    ) -> Leaderboard:
        """Checkpoints by robust accuracy, one list per protocol; of one kind of attack or data set if it is named."""
        filters = {"attack": attack, "dataset": dataset, "limit": limit}
        given = {key: value for key, value in filters.items() if value is not None}
        return self._read(Leaderboard, "GET", "/v1/leaderboard", params=given)

    def transfer(
        self, request: TransferRequest | Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> list[Evaluation]:
        """Queue one evaluation per checkpoint, attacked with the examples made on each of them."""
        answer = self._send("POST", "/v1/transfers", **_submission(request, idempotency_key))
        return list(Page[Evaluation].model_validate_json(answer.content).data)

    def transfers(
        self,
        checkpoints: Sequence[str],
        *,
        eps: str,
        norm: str = "Linf",
        steps: int | None = None,
        loss: str | None = None,
    ) -> TransferMatrix:
        """The transfer matrix of these checkpoints as far as it has been measured."""
        filters = {"eps": eps, "norm": norm, "steps": steps, "loss": loss}
        given = {key: value for key, value in filters.items() if value is not None}
        params = {"checkpoint": list(checkpoints)} | given
        return self._read(TransferMatrix, "GET", "/v1/transfers", params=params)

    def checkpoints(self, run: str | None = None) -> Iterator[Checkpoint]:
        """Checkpoints, newest first; of one run if it is named."""
        return self._all(Checkpoint, "/v1/checkpoints", run=run)

    def checkpoint(self, identifier: str) -> Checkpoint:
        """One checkpoint."""
        return self._read(Checkpoint, "GET", f"/v1/checkpoints/{identifier}")

    def import_checkpoint(self, weights: Path, card: ImportCard | Mapping[str, Any]) -> ImportedCheckpoint:
        """Import a safetensors file: a card, or the same as plain data. Not sent again if the answer is lost.

        Raises:
            OSError: the file cannot be read.
        """
        document = json.dumps(card.model_dump(mode="json") if isinstance(card, ImportCard) else dict(card))
        with weights.open("rb") as file:
            request: dict[str, Any] = {"files": {"weights": (weights.name, file)}, "data": {"card": document}}
            answer = self._send("POST", "/v1/checkpoints", pauses_s=(), timeout=_IMPORT_TIMEOUT_S, **request)
        return ImportedCheckpoint.model_validate_json(answer.content)

    def weights(self, checkpoint: str) -> bytes:
        """A checkpoint's weights as safetensors."""
        return self._send("GET", f"/v1/checkpoints/{checkpoint}/weights").content

    def classify(self, images: Sequence[Path], checkpoints: Sequence[str]) -> list[Classification]:
        """Each image (PNG or JPEG) seen by each checkpoint, in that order."""
        files = [("image", (path.name, path.read_bytes())) for path in images]
        answer = self._send("POST", "/v1/classifications", files=files, data={"checkpoint": list(checkpoints)})
        return list(Page[Classification].model_validate_json(answer.content).data)

    def create_token(self, request: TokenRequest | Mapping[str, Any]) -> NewToken:
        """Make a token, as an admin. Not sent again if the answer is lost: the token would be lost with it."""
        body = request.model_dump(mode="json") if isinstance(request, TokenRequest) else dict(request)
        return NewToken.model_validate_json(self._send("POST", "/v1/tokens", pauses_s=(), json=body).content)

    def tokens(self) -> Iterator[Token]:
        """All tokens, newest first, but for what they say themselves."""
        return self._all(Token, "/v1/tokens")

    def revoke_token(self, identifier: str) -> Token:
        """Let a token open nothing from now on."""
        return self._read(Token, "DELETE", f"/v1/tokens/{identifier}")

    def _all(self, resource: type[T], path: str, **filters: str | None) -> Iterator[T]:
        params: dict[str, str | int] = {"limit": _PAGE}
        params |= {key: value for key, value in filters.items() if value is not None}
        while True:
            page = Page[resource].model_validate_json(self._send("GET", path, params=params).content)  # type: ignore[valid-type]  # a type at run time
            yield from page.data
            if page.next is None:
                return
            params["after"] = page.next

    def _read(self, resource: type[T], method: str, path: str, **request: Any) -> T:
        return resource.model_validate_json(self._send(method, path, **request).content)

    def _send(
        self, method: str, path: str, *, pauses_s: Sequence[float] = _PAUSES_S, **request: Any
    ) -> httpx2.Response:
        try:
            answer = self._request(method, path, pauses_s, **request)
        except ValueError as error:
            raise GauntletClientError(f"The request cannot be written as JSON: {error}.") from error
        except httpx2.TransportError as error:
            raise Unreachable(
                f"No Gauntlet answers at {self.url} ({error}). Is it running? Try `gauntlet up`."
            ) from error
        if answer.is_success:
            return answer
        try:
            raise Refused(Problem.model_validate_json(answer.content))
        except ValidationError as error:
            raise GauntletClientError(f"{self.url} answered {answer.status_code}, which is no Gauntlet's.") from error

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


def _asked_for_s(answer: httpx2.Response) -> float:
    """How long the answer asks to wait, within bounds; 0 where it does not say so in seconds."""
    asked = answer.headers.get("Retry-After", "")
    return min(float(asked), _LONGEST_PAUSE_S) if asked.isdecimal() else 0


def _submission(document: Spec | Mapping[str, Any], idempotency_key: str | None) -> dict[str, Any]:
    body = document.model_dump(mode="json") if isinstance(document, Spec) else dict(document)
    return {"json": body, "headers": {"Idempotency-Key": idempotency_key or uuid.uuid4().hex}}

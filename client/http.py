"""The HTTP client: one method per thing the API does, values in and out."""

import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Self, TypeVar

from client.connection import Connection, place
from client.errors import GauntletClientError
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

_PAGE = 100
# The service builds the model and tries it before it answers.
_IMPORT_TIMEOUT_S = 600

T = TypeVar("T", bound=Resource)


class GauntletClient:
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

    def submit(self, spec: ExperimentSpec | Mapping[str, Any], *, idempotency_key: str | None = None) -> Experiment:
        """Queue an experiment: a spec, or the same as plain data such as `{"preset": "quickstart"}`."""
        return self._http.read(Experiment, "POST", "/v1/experiments", **_submission(spec, idempotency_key))

    def experiment(self, identifier: str) -> Experiment:
        """One experiment."""
        return self._http.read(Experiment, "GET", place("experiments", identifier))

    def experiments(self) -> Iterator[Experiment]:
        """All experiments, newest first."""
        return self._all(Experiment, "/v1/experiments")

    def cancel_experiment(self, identifier: str) -> Experiment:
        """Cancel what has not ended of an experiment."""
        return self._http.read(Experiment, "POST", place("experiments", identifier, "cancel"))

    def report(self, experiment: str) -> Report:
        """An experiment's report so far."""
        return self._http.read(Report, "GET", place("experiments", experiment, "report"))

    def report_text(self, experiment: str, format: Format) -> str:
        """The same as a page (`html`), `md`, `csv`, `tex` or `json`."""
        return self._http.send("GET", place("experiments", experiment, "report"), params={"format": format}).text

    def figure(self, experiment: str, name: FigureName) -> str:
        """A figure of the report, as SVG."""
        return self._http.send("GET", f"{place('experiments', experiment, 'figures', name)}.svg").text

    def run(self, identifier: str) -> Run:
        """One run."""
        return self._http.read(Run, "GET", place("runs", identifier))

    def runs(self, experiment: str | None = None) -> Iterator[Run]:
        """Runs, newest first; of one experiment if it is named."""
        return self._all(Run, "/v1/runs", experiment=experiment)

    def cancel_run(self, identifier: str) -> Run:
        """Cancel a run."""
        return self._http.read(Run, "POST", place("runs", identifier, "cancel"))

    def metrics(self, run: str, *, after: int | None = None) -> Iterator[EpochMetrics]:
        """A run's epochs in order; only those after one of them if it is named."""
        return self._all(EpochMetrics, place("runs", run, "metrics"), after=None if after is None else str(after))

    def metrics_csv(self, run: str) -> str:
        """The same as CSV."""
        return self._http.send("GET", place("runs", run, "metrics"), params={"format": "csv"}).text

    def events(self, run: str) -> Iterator[RunEvent]:
        """A run's events in order."""
        return self._all(RunEvent, place("runs", run, "events"))

    def evaluate(
        self, request: EvaluationRequest | Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> Evaluation:
        """Queue an evaluation: a request, or the same as plain data such as `{"checkpoint": "ckpt_…"}`."""
        return self._http.read(Evaluation, "POST", "/v1/evaluations", **_submission(request, idempotency_key))

    def evaluations(
        self, *, experiment: str | None = None, run: str | None = None, checkpoint: str | None = None
    ) -> Iterator[Evaluation]:
        """Evaluations, newest first; of one experiment, run or checkpoint if it is named."""
        return self._all(Evaluation, "/v1/evaluations", experiment=experiment, run=run, checkpoint=checkpoint)

    def evaluation(self, identifier: str) -> Evaluation:
        """One evaluation."""
        return self._http.read(Evaluation, "GET", place("evaluations", identifier))

    def cancel_evaluation(self, identifier: str) -> Evaluation:
        """Cancel an evaluation."""
        return self._http.read(Evaluation, "POST", place("evaluations", identifier, "cancel"))

    def images(self, evaluation: str) -> Iterator[ImageResult]:
        """What became of each image of an evaluation so far, in the test set's order."""
        return self._all(ImageResult, place("evaluations", evaluation, "images"))

    def images_csv(self, evaluation: str) -> str:
        """The same as CSV."""
        return self._http.send("GET", place("evaluations", evaluation, "images"), params={"format": "csv"}).text

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
        answer = self._http.read(Page[Evaluation], "POST", "/v1/transfers", **_submission(request, idempotency_key))
        return list(answer.data)

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
        return self._http.read(TransferMatrix, "GET", "/v1/transfers", params=params)

    def checkpoints(self, run: str | None = None) -> Iterator[Checkpoint]:
        """Checkpoints, newest first; of one run if it is named."""
        return self._all(Checkpoint, "/v1/checkpoints", run=run)

    def checkpoint(self, identifier: str) -> Checkpoint:
        """One checkpoint."""
        return self._http.read(Checkpoint, "GET", place("checkpoints", identifier))

    def import_checkpoint(self, weights: Path, card: ImportCard | Mapping[str, Any]) -> ImportedCheckpoint:
        """Import a safetensors file: a card, or the same as plain data. Not sent again if the answer is lost.

        Raises:
            OSError: the file cannot be read.
        """
        document = _written(card)
        with weights.open("rb") as file:
            request: dict[str, Any] = {"files": {"weights": (weights.name, file)}, "data": {"card": document}}
            patience: dict[str, Any] = {"pauses_s": (), "timeout": _IMPORT_TIMEOUT_S}
            return self._http.read(ImportedCheckpoint, "POST", "/v1/checkpoints", **patience, **request)

    def weights(self, checkpoint: str) -> bytes:
        """A checkpoint's weights as safetensors."""
        return self._http.send("GET", place("checkpoints", checkpoint, "weights")).content

    def classify(self, images: Sequence[Path], checkpoints: Sequence[str]) -> list[Classification]:
        """Each image seen by each checkpoint, in that order; `remarks` say what was done to it.

        Raises:
            OSError: a file cannot be read.
        """
        # A name need not be UTF-8 in a folder, but must in a request.
        named = [(path.name.encode("utf-8", "replace").decode(), path) for path in images]
        files = [("image", (name, path.read_bytes())) for name, path in named]
        request: dict[str, Any] = {"files": files, "data": {"checkpoint": list(checkpoints)}}
        return list(self._http.read(Page[Classification], "POST", "/v1/classifications", **request).data)

    def create_token(self, request: TokenRequest | Mapping[str, Any]) -> NewToken:
        """Make a token, as an admin. Not sent again if the answer is lost: the token would be lost with it."""
        return self._http.read(NewToken, "POST", "/v1/tokens", pauses_s=(), **_body(request))

    def tokens(self) -> Iterator[Token]:
        """All tokens, newest first, but for what they say themselves."""
        return self._all(Token, "/v1/tokens")

    def revoke_token(self, identifier: str) -> Token:
        """Let a token open nothing from now on."""
        return self._http.read(Token, "DELETE", place("tokens", identifier))

    def _all(self, resource: type[T], path: str, **filters: str | None) -> Iterator[T]:
        params: dict[str, str | int] = {"limit": _PAGE}
        params |= {key: value for key, value in filters.items() if value is not None}
        while True:
            page = self._http.read(Page[resource], "GET", path, params=params)  # type: ignore[valid-type]  # a type at run time
            yield from page.data
            if page.next is None:
                return
            params["after"] = page.next


def _submission(document: Spec | Mapping[str, Any], idempotency_key: str | None) -> dict[str, Any]:
    return _body(document, {"Idempotency-Key": idempotency_key or uuid.uuid4().hex})


def _body(document: Spec | Mapping[str, Any], headers: Mapping[str, str] = MappingProxyType({})) -> dict[str, Any]:
    return {"content": _written(document), "headers": {"Content-Type": "application/json", **headers}}


def _written(document: Spec | Mapping[str, Any]) -> str:
    if isinstance(document, Spec):
        return document.model_dump_json()
    try:
        return json.dumps(dict(document), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise GauntletClientError(f"The request cannot be written as JSON: {error}.") from error

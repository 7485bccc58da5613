"""Evaluations."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from gauntlet.client.addresses import listed, place
from gauntlet.client.asynchronous.connection import Connection
from gauntlet.client.documents import body, submission
from gauntlet.resources import (
    Evaluation,
    ImageResult,
    PictureForm,
)
from gauntlet.spec.asked.priorities import Priority
from gauntlet.spec.evaluations.evaluation import EvaluationRequest


class Evaluations:
    _http: Connection

    async def evaluate(
        self, request: EvaluationRequest | Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> Evaluation:
        """Queue an evaluation: a request, or the same as plain data such as `{"checkpoint": "ckpt_…"}`."""
        return await self._http.read(Evaluation, "POST", "/v1/evaluations", **submission(request, idempotency_key))

    def evaluations(
        self,
        *,
        experiment: str | None = None,
        run: str | None = None,
        checkpoint: str | None = None,
        status: str | Sequence[str] = (),
    ) -> AsyncIterator[Evaluation]:
        """Evaluations, newest first; of one experiment, run or checkpoint if it is named, and of a status."""
        filters: dict[str, Any] = {"experiment": experiment, "run": run, "checkpoint": checkpoint}
        return self._http.all(Evaluation, "/v1/evaluations", **filters, status=listed(status))

    async def evaluation(self, identifier: str) -> Evaluation:
        """One evaluation."""
        return await self._http.read(Evaluation, "GET", place("evaluations", identifier))

    async def cancel_evaluation(self, identifier: str) -> Evaluation:
        """Cancel an evaluation."""
        return await self._http.read(Evaluation, "POST", place("evaluations", identifier, "cancel"))

    async def pause_evaluation(self, identifier: str) -> Evaluation:
        """Pause an evaluation until it is resumed."""
        return await self._http.read(Evaluation, "POST", place("evaluations", identifier, "pause"))

    async def resume_evaluation(self, identifier: str) -> Evaluation:
        """Let a paused evaluation go on."""
        return await self._http.read(Evaluation, "POST", place("evaluations", identifier, "resume"))

    async def prioritise_evaluation(self, identifier: str, priority: Priority) -> Evaluation:
        """Give an evaluation that has not ended another priority: high, normal or low."""
        return await self._http.read(
            Evaluation, "POST", place("evaluations", identifier, "priority"), **body({"priority": priority})
        )

    async def retry_evaluation(self, identifier: str) -> Evaluation:
        """Queue an evaluation in the place of one that failed or was cancelled; asked twice, the same one."""
        return await self._http.read(Evaluation, "POST", place("evaluations", identifier, "retry"))

    def images(self, evaluation: str) -> AsyncIterator[ImageResult]:
        """What became of each image of an evaluation so far, in the test set's order."""
        return self._http.all(ImageResult, place("evaluations", evaluation, "images"))

    async def images_csv(self, evaluation: str) -> str:
        """The same as CSV."""
        return await self._http.text(place("evaluations", evaluation, "images"), format="csv")

    async def image(self, evaluation: str, position: int) -> bytes:
        """A test image that the evaluation attacked, as its model sees it: a PNG; `Refused` where it is not at hand."""
        answer = await self._http.send("GET", f"{place('evaluations', evaluation, 'images', str(position))}.png")
        return answer.content

    async def pictures(self, evaluation: str, format: PictureForm = "npz") -> bytes:
        """The attacked pictures that an evaluation kept: exactly (npz), or a zip archive of PNGs to look at."""
        answer = await self._http.send("GET", place("evaluations", evaluation, "pictures"), params={"format": format})
        return answer.content

    async def delete_pictures(self, evaluation: str) -> None:
        """Delete the attacked pictures that an evaluation kept, and nothing else; `Refused` where there are none."""
        await self._http.send("DELETE", place("evaluations", evaluation, "pictures"))

    async def delete_evaluation(self, identifier: str) -> None:
        """Delete an evaluation that was asked for by itself and has ended; `Refused` says what stands against it."""
        await self._http.send("DELETE", place("evaluations", identifier))

    async def evaluation_log(self, identifier: str, *, after: int = 0) -> str:
        """What the attempts of an evaluation logged, at most a thousand lines, without the first `after`."""
        return await self._http.text(place("evaluations", identifier, "log"), after=str(after))

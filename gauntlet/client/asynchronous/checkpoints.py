"""Checkpoints, and what they take images for."""

from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gauntlet.client.addresses import listed, place
from gauntlet.client.asynchronous.connection import Connection
from gauntlet.client.documents import body, written
from gauntlet.client.uploads import sendable
from gauntlet.resources import (
    Checkpoint,
    Classification,
    ImportedCheckpoint,
    Page,
)
from gauntlet.spec.checkpoint_card import ImportCard
from gauntlet.spec.evaluations.picture_attacks import PictureAttack

# The service builds the model and tries it before it answers.
_IMPORT_TIMEOUT_S = 600


class Checkpoints:
    _http: Connection

    def checkpoints(self, run: str | None = None) -> AsyncIterator[Checkpoint]:
        """Checkpoints, newest first; of one run if it is named."""
        return self._http.all(Checkpoint, "/v1/checkpoints", run=run)

    async def checkpoint(self, identifier: str) -> Checkpoint:
        """One checkpoint."""
        return await self._http.read(Checkpoint, "GET", place("checkpoints", identifier))

    async def change_checkpoint(self, identifier: str, **changes: Any) -> Checkpoint:
        """Change its `labels` or `notes`: what is given, and None takes it away."""
        return await self._http.read(Checkpoint, "PATCH", place("checkpoints", identifier), **body(changes))

    async def import_checkpoint(self, weights: Path, card: ImportCard | Mapping[str, Any]) -> ImportedCheckpoint:
        """Import a safetensors file: a card, or the same as plain data. Not sent again if the answer is lost.

        Raises:
            OSError: the file cannot be read.
        """
        document = written(card)
        with weights.open("rb") as file:
            request: dict[str, Any] = {"files": {"weights": (sendable(weights.name), file)}, "data": {"card": document}}
            patience: dict[str, Any] = {"pauses_s": (), "timeout": _IMPORT_TIMEOUT_S}
            return await self._http.read(ImportedCheckpoint, "POST", "/v1/checkpoints", **patience, **request)

    async def weights(self, checkpoint: str) -> bytes:
        """A checkpoint's weights as safetensors."""
        answer = await self._http.send("GET", place("checkpoints", checkpoint, "weights"))
        return answer.content

    async def classify(
        self,
        images: Sequence[Path],
        checkpoints: str | Sequence[str],
        *,
        attack: PictureAttack | Mapping[str, Any] | None = None,
    ) -> list[Classification]:
        """Each image seen by each checkpoint, in that order; `remarks` say what was done to it.

        With an attack, or the same as plain data, each is attacked on each checkpoint's weights at every budget too.

        Raises:
            OSError: a file cannot be read.
        """
        files = [("image", (sendable(path.name), path.read_bytes())) for path in images]
        request: dict[str, Any] = {"files": files, "data": {"checkpoint": listed(checkpoints)}}
        if attack is not None:
            request["data"]["attack"] = written(attack)
        answer = await self._http.read(Page[Classification], "POST", "/v1/classifications", **request)
        return list(answer.data)

    async def delete_checkpoint(self, identifier: str) -> None:
        """Delete a checkpoint that nothing stands on; `Refused` says what stands against it."""
        await self._http.send("DELETE", place("checkpoints", identifier))

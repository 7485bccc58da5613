"""Pictures classified and attacked with stored checkpoints, in a process of their own: the API never holds torch."""

import array
import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gauntlet.errors import CheckpointInvalid
from gauntlet.resources import Classification, ClassProbability
from gauntlet.spec.attacks import AnyAttack
from gauntlet.spec.checkpoint_card import CheckpointCard
from service.aside.processes import Aside, Ended
from service.images import Seen

# Measured: 230 MB of torch; with models 650 at most, of the largest images and the largest model one after the other.
_MOST_MEMORY = 3 << 29
# Reading a model and one pass of ResNet-18 over 256 × 256 pixels take 1 to 3 s of a core.
_MOST_SECONDS = 60.0
_FLOAT_BYTES = 4


class NotClassified(Exception):
    """What a checkpoint makes of a picture is no number, or takes too much; the text goes on after "What it makes"."""


class TooSlow(NotClassified):
    """It would have computed for longer than it may."""


@dataclass(frozen=True)
class Weights:
    """A stored checkpoint, as far as a picture's classification needs it."""

    checkpoint: str
    card: CheckpointCard
    sha256: str
    file: Path


@dataclass(frozen=True)
class Attacked:
    """A picture under attack: what it is taken for, and its pixels rounded to uint8 [channels, height, width]."""

    probabilities: tuple[ClassProbability, ...]
    pixels: bytes
    seconds: float


class Classifier:
    """Does one thing at a time, in the order of the requests."""

    def __init__(self) -> None:
        self.process = Aside("classifying", most_memory=_MOST_MEMORY)
        self._turn = asyncio.Lock()

    async def classify(self, seen: Seen, name: str, weights: Weights) -> Classification:
        """What the checkpoint makes of a picture, which is of its model's shape.

        Raises:
            CheckpointInvalid: the file is missing or damaged.
            NotClassified: the model answers this picture with infinity or NaN, or does not get through with it.
            ServiceError: 503, the process does not answer.
        """
        behind = [_FLOAT_BYTES * len(weights.card.classes)]
        _, (found,) = await self._ask(_order(weights), seen.pixels, behind, _MOST_SECONDS)
        ranked = _ranked(weights, found)
        return Classification(
            image=name,
            checkpoint=weights.checkpoint,
            label=ranked[0].label,
            probability=ranked[0].probability,
            probabilities=ranked,
            remarks=seen.remarks,
        )

    async def attack(self, seen: Seen, weights: Weights, attack: AnyAttack, label: str, *, seconds: float) -> Attacked:
        """The picture attacked on these weights, away from the class `label`; it may compute for so long.

        Raises:
            CheckpointInvalid, NotClassified, ServiceError: as `classify` does.
        """
        order = _order(weights) | {"attack": attack.model_dump(mode="json"), "label": weights.card.classes.index(label)}
        behind = [_FLOAT_BYTES * len(weights.card.classes), len(seen.pixels)]
        answer, (found, pixels) = await self._ask(order, seen.pixels, behind, seconds)
        return Attacked(_ranked(weights, found), pixels, answer["seconds"])

    async def find_image(self, order: Mapping[str, Any], *, size: int) -> bytes:
        """The pixels of a test image (`service.aside.attacking.find_image`).

        Raises:
            NotClassified: it is not there, or not what it was; the text is a sentence.
            ServiceError: 503, the process does not answer.
        """
        _, (pixels,) = await self._ask(dict(order) | {"size": size}, b"", [size], _MOST_SECONDS)
        return pixels

    async def _ask(
        self, order: Mapping[str, Any], content: bytes, behind: Sequence[int], seconds: float
    ) -> tuple[dict[str, Any], list[bytes]]:
        """The process's answer. If this is cancelled, it is waited for all the same: to load torch again costs more."""
        async with self._turn:
            asking = asyncio.ensure_future(self.process.ask(order, seconds=seconds, content=content, behind=behind))
            try:
                answer, found = await asyncio.shield(asking)
            except asyncio.CancelledError:
                await asyncio.wait([asking])
                raise
            except Ended as end:
                if end.late:
                    raise TooSlow("takes too long to compute") from end
                raise NotClassified("could not be computed") from end
        if "refused" in answer:
            raise (CheckpointInvalid if answer.get("damaged") else NotClassified)(answer["refused"])
        return answer, found


def _order(weights: Weights) -> dict[str, Any]:
    return {"file": str(weights.file), "sha256": weights.sha256}


def _ranked(weights: Weights, found: bytes) -> tuple[ClassProbability, ...]:
    """The classes with their float32 probabilities, most likely first."""
    pairs = zip(weights.card.classes, array.array("f", found).tolist(), strict=True)
    return tuple(ClassProbability(label=label, probability=value) for label, value in sorted(pairs, key=_unlikely))


def _unlikely(pair: tuple[str, float]) -> float:
    return -pair[1]

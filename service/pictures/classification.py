"""Pictures classified and attacked with stored checkpoints, in a process of their own: the API never holds torch."""

import array
import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gauntlet.errors import CheckpointInvalid
from gauntlet.resources import ClassProbability
from gauntlet.spec.checkpoint_card import CheckpointCard
from gauntlet.spec.evaluations.attacks import AnyAttack
from gauntlet.spec.runs.training import InferencePrecision
from service.aside.processes import Aside, Ended
from service.detached import heard
from service.pictures.images import Seen
from store.database import Database

# Measured: 230 MB of torch; with models 650 at most, of the largest images and the largest model one after the other.
_MOST_MEMORY = 3 << 29
# Reading a model and one pass of ResNet-18 over 256 × 256 pixels take 1 to 3 s of a core.
_MOST_SECONDS = 60.0
_FLOAT_BYTES = 4
_KNOWN_FOR_S = 1.0
# 64 pictures of 32 × 32 pixels for the paper's CNN; 11 for ResNet-18, whose weights have 45 MB.
_MOST_AT_ONCE = 64
_MOST_VALUES_AT_ONCE = _MOST_AT_ONCE * 3 * 32 * 32
_MOST_WEIGHTS_AT_ONCE = 512 << 20


# The fields of a `gauntlet.resources.Classification`. To make its objects, of many pictures, took a third of what
# the API does for them.
Told = dict[str, Any]


class NotClassified(Exception):
    """What a checkpoint makes of a picture is no number, or takes too much; the text goes on after "What it makes".

    `position` is the picture's among those that were classified together, None where it may be any of them.
    """

    def __init__(self, told: str, position: int | None = None) -> None:
        super().__init__(told)
        self.position = position


class TooSlow(NotClassified):
    """It would have computed for longer than it may."""


@dataclass(frozen=True)
class Weights:
    """A stored checkpoint, as far as a picture's classification needs it."""

    checkpoint: str
    card: CheckpointCard
    sha256: str
    bytes: int
    file: Path

    @property
    def at_once(self) -> int:
        """How many pictures are classified in one pass: it takes seconds at most, and hundreds of MiB."""
        channels, height, width = self.card.image_shape
        fitting = min(_MOST_VALUES_AT_ONCE // (channels * height * width), _MOST_WEIGHTS_AT_ONCE // max(self.bytes, 1))
        return max(1, min(fitting, _MOST_AT_ONCE))


class KnownWeights:
    """The checkpoints that were named last, for a second, and as long as nothing at all has been written since.

    What is deleted, by whatever process, is news at once: it was written. Files are looked for once a second. With a
    database that cannot say at once whether anything was written, none is known.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._named: tuple[str, ...] = ()
        self._found: list[Weights] = []
        self._changes: int | None = None
        self._since = 0.0

    def changes(self) -> int | None:
        """What `keep` wants, from before the look."""
        return self._database.changes()

    def find(self, named: Sequence[str], changes: int | None) -> list[Weights] | None:
        """Those of these ids, if nothing was written up to `changes`."""
        is_known = changes is not None and (tuple(named), changes) == (self._named, self._changes)
        return self._found if is_known and time.monotonic() - self._since < _KNOWN_FOR_S else None

    def keep(self, named: Sequence[str], found: list[Weights], changes: int | None) -> None:
        """Remember what was found when nothing had been written after `changes`."""
        self._named, self._found, self._changes, self._since = tuple(named), found, changes, time.monotonic()


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

    async def classify(
        self, pictures: Sequence[Seen], names: Sequence[str], weights: Weights, precision: InferencePrecision
    ) -> list[Told]:
        """What the checkpoint makes of pictures, which are of its model's shape, in one pass.

        Raises:
            CheckpointInvalid: the file is missing or damaged.
            NotClassified: the model answers a picture with infinity or NaN, or does not get through with it.
            ServiceError: 503, the process does not answer.
        """
        try:
            return await self._classify(pictures, names, weights, precision)
        except NotClassified as error:
            if len(pictures) == 1:
                error.position = 0
            if error.position is not None:
                raise
        found: list[Told] = []
        for seen, name in zip(pictures, names, strict=True):
            try:
                found += await self._classify([seen], [name], weights, precision)
            except NotClassified as error:
                error.position = len(found)
                raise
        return found

    async def _classify(
        self, pictures: Sequence[Seen], names: Sequence[str], weights: Weights, precision: InferencePrecision
    ) -> list[Told]:
        classes = len(weights.card.classes)
        order = _order(weights) | {"precision": precision}
        content = b"".join([seen.pixels for seen in pictures])
        _, (found,) = await self._ask(order, content, [_FLOAT_BYTES * classes * len(pictures)], _MOST_SECONDS)
        values = array.array("f", found).tolist()
        return [
            _told(seen, name, weights, values[classes * position : classes * (position + 1)], precision)
            for position, (seen, name) in enumerate(zip(pictures, names, strict=True))
        ]

    async def attack(self, seen: Seen, weights: Weights, attack: AnyAttack, label: str, *, seconds: float) -> Attacked:
        """The picture attacked on these weights, away from the class `label`; it may compute for so long.

        Raises:
            CheckpointInvalid, NotClassified, ServiceError: as `classify` does.
        """
        order = _order(weights) | {"attack": attack.model_dump(mode="json"), "label": weights.card.classes.index(label)}
        behind = [_FLOAT_BYTES * len(weights.card.classes), len(seen.pixels)]
        answer, (found, pixels) = await self._ask(order, seen.pixels, behind, seconds)
        ranked = _ranked(weights, array.array("f", found).tolist())
        return Attacked(tuple(map(ClassProbability.model_validate, ranked)), pixels, answer["seconds"])

    async def find_image(self, order: Mapping[str, Any], *, size: int) -> bytes:
        """The pixels of a data set's image (`service.aside.attacking.DatasetImages`).

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
            asking.add_done_callback(heard)
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
            if answer.get("damaged"):
                raise CheckpointInvalid(answer["refused"])
            raise NotClassified(answer["refused"], answer.get("position"))
        return answer, found


def _order(weights: Weights) -> dict[str, Any]:
    return {"file": str(weights.file), "sha256": weights.sha256}


def _told(seen: Seen, name: str, weights: Weights, values: Sequence[float], precision: InferencePrecision) -> Told:
    ranked = _ranked(weights, values)
    return {
        "object": "classification",
        "image": name,
        "checkpoint": weights.checkpoint,
        **ranked[0],
        "probabilities": ranked,
        "remarks": seen.remarks,
        "precision": precision,
        "attack": None,
    }


def _ranked(weights: Weights, values: Sequence[float]) -> list[dict[str, Any]]:
    """The classes with their probabilities as the fields of a `ClassProbability`, most likely first."""
    labels = weights.card.classes
    order = sorted(range(len(values)), key=values.__getitem__, reverse=True)
    return [{"label": labels[place], "probability": values[place]} for place in order]

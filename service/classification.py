"""Pictures classified with stored checkpoints, in a process of their own: torch and its memory never are the API's."""

import array
import asyncio
from pathlib import Path

from gauntlet.errors import CheckpointInvalid
from gauntlet.resources import Classification, ClassProbability
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


class Classifier:
    """Classifies one picture at a time; its caller sees to that."""

    def __init__(self) -> None:
        self.process = Aside("classifying", most_memory=_MOST_MEMORY)

    async def classify(
        self, seen: Seen, name: str, *, checkpoint: str, card: CheckpointCard, sha256: str, file: Path
    ) -> Classification:
        """What the checkpoint makes of a picture, which is of its model's shape.

        If this is cancelled, the picture is finished all the same: to load torch again costs more.

        Raises:
            CheckpointInvalid: the file is missing or damaged.
            NotClassified: the model answers this picture with infinity or NaN, or does not get through with it.
            ServiceError: 503, the process does not answer.
        """
        order = {"file": str(file), "sha256": sha256}
        asking = asyncio.ensure_future(
            self.process.ask(
                order, seconds=_MOST_SECONDS, content=seen.pixels, behind=[_FLOAT_BYTES * len(card.classes)]
            )
        )
        try:
            answer, found = await asyncio.shield(asking)
        except asyncio.CancelledError:
            await asyncio.wait([asking])
            raise
        except Ended as end:
            raise NotClassified("takes too long to compute" if end.late else "could not be computed") from end
        if "refused" in answer:
            raise (CheckpointInvalid if answer.get("damaged") else NotClassified)(answer["refused"])
        probabilities = array.array("f", found[0]).tolist()
        ranked = sorted(zip(card.classes, probabilities, strict=True), key=lambda item: -item[1])
        return Classification(
            image=name,
            checkpoint=checkpoint,
            label=ranked[0][0],
            probability=ranked[0][1],
            probabilities=tuple(ClassProbability(label=label, probability=value) for label, value in ranked),
            remarks=seen.remarks,
        )

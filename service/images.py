"""Uploaded pictures, decoded in a process of their own: it can be ended, and its memory comes back."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from starlette.datastructures import UploadFile

from gauntlet.spec.checkpoint_card import CheckpointCard
from gauntlet.spec.kinds import Fit, fit_of
from gauntlet.spec.messages import printable
from service.aside.processes import Aside, Ended
from service.errors import UploadRejected

# Measured of 64 million pixels: 150 to 370 MB for most kinds, 490 for a progressive JPEG of full colour resolution, 520
# for a TIFF in one strip; of phones' photographs of 50 million pixels 170, progressive 240.
_MOST_MEMORY = 640 << 20


class ModelInput(NamedTuple):
    """What a model takes: a shape, and how pictures of other proportions were brought to it in training."""

    channels: int
    height: int
    width: int
    fit: Fit

    @classmethod
    def of(cls, card: CheckpointCard) -> "ModelInput":
        """That of a checkpoint's model."""
        return cls(*card.image_shape, fit_of(card.dataset))


@dataclass(frozen=True)
class Seen:
    """A picture as a model sees it: uint8 [channels, height, width], and what was done to it that may surprise."""

    pixels: bytes
    remarks: tuple[str, ...]


class Decoder:
    """Decodes the pictures of one request at a time; its caller sees to that."""

    def __init__(self, *, most_pixels: int, most_seconds: float) -> None:
        self._most_pixels = most_pixels
        self._most_seconds = most_seconds
        self.process = Aside("decoding", most_memory=_MOST_MEMORY)

    async def decode(self, uploads: Sequence[UploadFile], forms: Sequence[ModelInput]) -> list[dict[ModelInput, Seen]]:
        """Each picture as models that take these forms see it. All together may compute for `most_seconds`.

        A picture is through before the next is read. If this is cancelled, the process is ended.

        Raises:
            UploadRejected: 415 if a file is in no format that is taken, 422 if it cannot be used; it names the file.
            ServiceError: 503, the process does not answer.
        """
        seen = []
        left = self._most_seconds
        sizes = [form.channels * form.height * form.width for form in forms]
        for position, upload in enumerate(uploads):
            name, pointer = name_of(upload), f"/image/{position}"
            order = {"forms": forms, "most_pixels": self._most_pixels}
            try:
                answer, pixels = await self.process.ask(order, seconds=left, content=upload, behind=sizes)
            except Ended as end:
                raise UploadRejected(422, pointer, name, self._why(end)) from end
            if "refused" in answer:
                raise UploadRejected(415 if answer.get("unknown") else 422, pointer, name, answer["refused"])
            left -= answer["seconds"]
            pairs = zip(forms, pixels, answer["remarks"], strict=True)
            seen.append({form: Seen(found, tuple(remarks)) for form, found, remarks in pairs})
        return seen

    def _why(self, end: Ended) -> str:
        if end.late:
            return f"The request's pictures take more than {self._most_seconds:g} s of a processor to decode."
        return "The picture is damaged: what decodes it broke down."


def name_of(upload: UploadFile) -> str:
    """What its sender calls it."""
    return printable(upload.filename or "image")

"""Uploaded pictures, decoded in a process of their own: it can be ended, and its memory comes back."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import NamedTuple

from starlette.datastructures import UploadFile

from gauntlet.spec.checkpoint_card import CheckpointCard
from gauntlet.spec.kinds import Fit, fit_of
from gauntlet.spec.reading.messages import printable
from service.aside.processes import Aside, Ended
from service.errors import UploadRejected

# Measured of 64 million pixels: 150 to 370 MB for most kinds, 490 for a progressive JPEG of full colour resolution, 520
# for a TIFF in one strip; of phones' photographs of 50 million pixels 170, progressive 240.
_MOST_MEMORY = 640 << 20

# Small files go to the process together: to hand over one takes as long as to decode it.
_SMALL = 8 << 10
_AT_ONCE = 64


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


class Seen(NamedTuple):
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

        A picture is through before the next is decoded. If this is cancelled, the process is ended.

        Raises:
            UploadRejected: 415 if a file is in no format that is taken, 422 if it cannot be used; it names the file.
            ServiceError: 503, the process does not answer.
        """
        seen: list[dict[ModelInput, Seen]] = []
        time = _Time(self._most_seconds)
        while len(seen) < len(uploads):
            together = _together(uploads[len(seen) :])
            try:
                seen += await self._decode(together, forms, time, len(seen))
            except _OneOfThem:
                for upload in together:
                    await upload.seek(0)
                    seen += await self._decode([upload], forms, time, len(seen))
        return seen

    async def _decode(
        self, uploads: Sequence[UploadFile], forms: Sequence[ModelInput], time: "_Time", position: int
    ) -> list[dict[ModelInput, Seen]]:
        """Pictures that the process is given together; the first of them is at that position in the request.

        Raises:
            UploadRejected, ServiceError: as above.
            _OneOfThem: something is wrong with one of several, and it is not known with which.
        """
        if time.left <= 0:
            # The kernel looks once in four milliseconds, which each of many pictures may be quicker than.
            raise UploadRejected(422, f"/image/{position}", name_of(uploads[0]), self._too_long())
        one = len(uploads) == 1
        is_small = all((upload.size or 0) <= _SMALL for upload in uploads)
        # What is small lies in memory.
        content = b"".join([upload.file.read() for upload in uploads]) if is_small else uploads[0]
        order = {"forms": forms, "most_pixels": self._most_pixels, "sizes": [upload.size for upload in uploads]}
        behind = [form.channels * form.height * form.width for form in forms] * len(uploads)
        try:
            answer, pixels = await self.process.ask(order, seconds=time.left, content=content, behind=behind)
        except Ended as end:
            if not (one or end.late):
                raise _OneOfThem from end
            raise UploadRejected(422, f"/image/{position}", name_of(uploads[0]), self._why(end)) from end
        if "refused" in answer:
            if not one and "position" not in answer:
                raise _OneOfThem
            bad = answer.get("position", 0)
            status = 415 if answer.get("unknown") else 422
            raise UploadRejected(status, f"/image/{position + bad}", name_of(uploads[bad]), answer["refused"])
        time.left -= answer["seconds"]
        each = iter(pixels)
        return [
            {form: Seen(next(each), tuple(of_form)) for form, of_form in zip(forms, remarks, strict=True)}
            for remarks in answer["remarks"]
        ]

    def _why(self, end: Ended) -> str:
        return self._too_long() if end.late else "The picture is damaged: what decodes it broke down."

    def _too_long(self) -> str:
        return f"The request's pictures take more than {self._most_seconds:g} s of a processor to decode."


class _OneOfThem(Exception):
    """They must be decoded one by one to know which it is."""


@dataclass
class _Time:
    """How long the pictures of a request may still compute."""

    left: float


def _together(uploads: Sequence[UploadFile]) -> Sequence[UploadFile]:
    """The first of them, with those after it that are as small."""
    small = takewhile(lambda upload: (upload.size or 0) <= _SMALL, uploads[:_AT_ONCE])
    return list(small) or uploads[:1]


def name_of(upload: UploadFile) -> str:
    """What its sender calls it."""
    return printable(upload.filename or "image")

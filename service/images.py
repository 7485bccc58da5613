"""Uploaded pictures, decoded in a process of their own: it can be ended, and its memory comes back."""

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import UploadFile

from gauntlet.spec.messages import printable
from service.errors import ServiceError, UploadRejected

logger = logging.getLogger(__name__)

_PIECE = 1 << 20
# For a picture on the busiest machine; what may be computed is far less.
_PATIENCE_S = 60.0
# Linear algebra is not needed; each of its threads would set memory aside.
_ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}

# (channels, height, width).
Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Seen:
    """A picture as a model sees it: uint8 [channels, height, width], and what was done to it that may surprise."""

    pixels: bytes
    remarks: tuple[str, ...]


class Decoder:
    """Decodes the pictures of one request at a time; its caller sees to that.

    Its process starts with the first picture, and anew after it had to be ended.
    """

    def __init__(self, *, most_pixels: int, most_seconds: float) -> None:
        self._most_pixels = most_pixels
        self._most_seconds = most_seconds
        self._patience_s = _PATIENCE_S
        self._process: asyncio.subprocess.Process | None = None

    async def decode(self, uploads: Sequence[UploadFile], shapes: Sequence[Shape]) -> list[dict[Shape, Seen]]:
        """Each picture as models of these shapes see it. All together may compute for `most_seconds`.

        A picture is through before the next is read. If this is cancelled, the process is ended.

        Raises:
            UploadRejected: 415 if a file is in no format that is taken, 422 if it cannot be used; it names the file.
            ServiceError: 503, the process does not answer.
        """
        seen = []
        left = self._most_seconds
        for position, upload in enumerate(uploads):
            name, pointer = name_of(upload), f"/image/{position}"
            try:
                async with asyncio.timeout(self._patience_s):
                    answer, pixels = await self._ask(upload, shapes, left)
            except TimeoutError as error:
                await self.close()
                detail = f"{name}: The picture was not decoded in time; try again."
                raise ServiceError(503, "busy", detail, headers={"Retry-After": "2"}) from error
            except (EOFError, ConnectionError) as error:
                raise UploadRejected(422, pointer, name, await self._why_it_ended()) from error
            except BaseException:
                # What was asked last is not answered, so nothing else can be.
                await self.close()
                raise
            if "refused" in answer:
                raise UploadRejected(415 if answer["unknown"] else 422, pointer, name, answer["refused"])
            left -= answer["seconds"]
            pairs = zip(shapes, pixels, answer["remarks"], strict=True)
            seen.append({shape: Seen(found, tuple(remarks)) for shape, found, remarks in pairs})
        return seen

    async def close(self) -> None:
        """End the process, if there is one."""
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _ask(
        self, upload: UploadFile, shapes: Sequence[Shape], seconds: float
    ) -> tuple[dict[str, Any], list[bytes]]:
        orders, answers = await self._pipes()
        order = {
            "bytes": upload.size,
            "shapes": shapes,
            "most_pixels": self._most_pixels,
            # A timer of nothing would never end.
            "seconds": max(seconds, 0.001),
        }
        orders.write(json.dumps(order).encode() + b"\n")
        while piece := await upload.read(_PIECE):
            orders.write(piece)
            await orders.drain()
        answer: dict[str, Any] = json.loads(await answers.readuntil())
        if "failed" in answer:
            raise RuntimeError(f"A picture could not be decoded, by a fault of ours: {answer['failed']}")
        if "refused" in answer:
            return answer, []
        return answer, [await answers.readexactly(channels * height * width) for channels, height, width in shapes]

    async def _pipes(self) -> tuple[asyncio.StreamWriter, asyncio.StreamReader]:
        """To and from the process."""
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "service.decoding",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                # Libraries would write there what is wrong with a file, as often as somebody sends it.
                stderr=asyncio.subprocess.DEVNULL,
                env=os.environ | _ENVIRONMENT,
                # A terminal's Ctrl-C is the server's to answer.
                start_new_session=True,
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        return self._process.stdin, self._process.stdout

    async def _why_it_ended(self) -> str:
        process, self._process = self._process, None
        code = await process.wait() if process is not None else None
        if code == -signal.SIGPROF:
            return f"The request's pictures take more than {self._most_seconds:g} s of a processor to decode."
        logger.warning("The process that decodes pictures ended with %s; it starts again.", code)
        return "The picture is damaged: what decodes it broke down."


def name_of(upload: UploadFile) -> str:
    """What its sender calls it."""
    return printable(upload.filename or "image")

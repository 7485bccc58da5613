"""The API's side: a process that is started, asked, and ended."""

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from fcntl import F_SETPIPE_SZ, fcntl
from itertools import accumulate
from typing import Any

from starlette.datastructures import UploadFile

from service.errors import ServiceError
from store.storage import met_there

logger = logging.getLogger(__name__)

_PIECE = 1 << 20
# 64 pictures of 32 × 32 pixels have 196 kB. Through a pipe of 64 kB each side is woken for every third of it.
_PIPE_BYTES = 1 << 20
# What is asked is done in far less on the busiest machine; what may be computed is bounded by itself.
_PATIENCE_S = 60.0
# Each thread of linear algebra would set memory aside.
_ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


class Ended(Exception):
    """The process ended before it answered, `late` when it had computed for as long as it might."""

    def __init__(self, *, late: bool) -> None:
        super().__init__()
        self.late = late


class Aside:
    """A process that does one thing after the other; its caller sees to that.

    It starts with the first order, and anew after it had to be ended. It runs `service.aside.<work>` with at most
    `most_memory` bytes, and inherits the open files `descriptors`. A line of its answers has at most `longest_answer`
    bytes.
    """

    def __init__(
        self,
        work: str,
        *,
        most_memory: int,
        patience_s: float = _PATIENCE_S,
        descriptors: Sequence[int] = (),
        longest_answer: int = _PIPE_BYTES,
    ) -> None:
        self._work = work
        self._most_memory = most_memory
        self.patience_s = patience_s
        self._descriptors = descriptors
        self._longest_answer = longest_answer
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        """Of the process, if there is one."""
        return None if self._process is None else self._process.pid

    async def ask(
        self,
        order: Mapping[str, Any],
        *,
        seconds: float,
        content: UploadFile | bytes = b"",
        behind: Sequence[int] | None = (),
    ) -> tuple[dict[str, Any], list[bytes]]:
        """Its answer, or that it refuses, and the bytes behind it. If this is cancelled, the process is ended.

        Args:
            seconds: how long the process may compute.
            content: goes with the order.
            behind: how many bytes each part has that comes behind an answer; None where the answer says so itself
                ("sizes"), which is for processes that are given nothing but what is stored.

        Raises:
            Ended: the process broke down, or would have computed for longer.
            ServiceError: 503, it does not answer.
            OSError: a file that it writes cannot be written.
        """
        try:
            async with asyncio.timeout(self.patience_s):
                # A timer of nothing would never end.
                await self._order(dict(order) | {"seconds": max(seconds, 0.001)}, content)
                answer, parts = await self._answered(behind)
        except TimeoutError as error:
            await self.close()
            detail = "The request was not worked on in time; try again."
            raise ServiceError(503, "busy", detail, headers={"Retry-After": "2"}) from error
        except (EOFError, ConnectionError) as error:
            raise await self._ended() from error
        except BaseException:
            # What was asked last is not answered, so nothing else can be.
            await self.close()
            raise
        if "failed" in answer:
            raise RuntimeError(f"The process for {self._work} failed, by a fault of ours: {answer['failed']}")
        if "storage" in answer:
            met = OSError(answer["storage"], answer["why"])
            raise met_there(met) if answer.get("met_there") else met
        return answer, parts

    async def close(self) -> None:
        """End the process, if there is one."""
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            # Whoever is cancelled meanwhile does not wait, and the process is seen to its end all the same.
            await asyncio.shield(process.wait())

    async def _order(self, order: dict[str, Any], content: UploadFile | bytes) -> None:
        process = await self._started()
        assert process.stdin is not None
        order["bytes"] = len(content) if isinstance(content, bytes) else content.size
        line = json.dumps(order).encode() + b"\n"
        if isinstance(content, bytes):
            # At once: the process would begin with the line, and wait.
            process.stdin.write(line + content)
            await process.stdin.drain()
            return
        process.stdin.write(line)
        while piece := await content.read(_PIECE):
            process.stdin.write(piece)
            await process.stdin.drain()

    async def _answered(self, behind: Sequence[int] | None) -> tuple[dict[str, Any], list[bytes]]:
        assert self._process is not None
        assert self._process.stdout is not None
        answers = self._process.stdout
        answer: dict[str, Any] = json.loads(await answers.readuntil())
        if answer.keys() & {"refused", "failed", "storage"}:
            return answer, []
        sizes = answer["sizes"] if behind is None else behind
        if sum(sizes) > _PIECE:
            return answer, [await answers.readexactly(size) for size in sizes]
        together = await answers.readexactly(sum(sizes))
        ends = list(accumulate(sizes))
        return answer, [together[end - size : end] for size, end in zip(sizes, ends, strict=True)]

    async def _started(self) -> asyncio.subprocess.Process:
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                f"service.aside.{self._work}",
                str(self._most_memory),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                # Libraries would write there what is wrong with a file, as often as somebody sends it.
                stderr=asyncio.subprocess.DEVNULL,
                env=os.environ | _ENVIRONMENT,
                # A terminal's Ctrl-C is the server's to answer.
                start_new_session=True,
                pass_fds=self._descriptors,
                limit=self._longest_answer,
            )
            _widen(self._process)
        return self._process

    async def _ended(self) -> Ended:
        process, self._process = self._process, None
        code = await process.wait() if process is not None else None
        late = code == -signal.SIGPROF
        if not late:
            logger.warning("The process for %s ended with %s; it starts again.", self._work, code)
        return Ended(late=late)


def _widen(process: asyncio.subprocess.Process) -> None:
    """Let as much lie between this process and that one as is mostly handed over at once, as far as the system lets."""
    transport = process._transport  # type: ignore[attr-defined]  # noqa: SLF001  # it has no other name
    for end in (0, 1):
        with contextlib.suppress(OSError):
            fcntl(transport.get_pipe_transport(end).get_extra_info("pipe"), F_SETPIPE_SZ, _PIPE_BYTES)

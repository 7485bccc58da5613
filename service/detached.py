"""Work that may hang, in daemon threads, for which the process's end does not wait; and work that nobody waits for."""

import asyncio
import contextlib
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from threading import Thread
from typing import Any, TypeVar

T = TypeVar("T")


async def detached(work: Callable[[], T], name: str) -> T:
    """What the work comes to. Where this is cancelled, or the process ends, nobody waits for it.

    It must leave nothing that another process cannot clear away.

    Args:
        name: the thread's.
    """
    coming: asyncio.Future[T] = asyncio.get_running_loop().create_future()
    context = copy_context()

    def do() -> None:
        try:
            result = context.run(work)
        except BaseException as error:  # noqa: BLE001  # it is raised where the work is waited for
            _tell(coming, partial(coming.set_exception, _raisable(error)))
        else:
            _tell(coming, partial(coming.set_result, result))

    Thread(target=do, name=name, daemon=True).start()
    return await coming


def heard(work: "asyncio.Future[Any]") -> None:
    """Called when the work is done: what it raised is no fault where all who waited for it have left."""
    if not work.cancelled():
        work.exception()


def _raisable(error: BaseException) -> BaseException:
    if not isinstance(error, StopIteration):
        return error
    # A coroutine cannot raise it, and a future refuses it.
    instead = RuntimeError("the work raised StopIteration")
    instead.__cause__ = error
    return instead


def _tell(coming: "asyncio.Future[T]", outcome: Callable[[], None]) -> None:
    def settle() -> None:
        if not coming.done():
            outcome()

    # The loop may have ended meanwhile.
    with contextlib.suppress(RuntimeError):
        coming.get_loop().call_soon_threadsafe(settle)

"""Work that goes on when whoever asked for it has left: that it fails then is no fault, and not in the log."""

import asyncio
import gc
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from service.answering.versions import Looks
from service.pictures.classification import Classifier
from store.errors import NotFound


async def _unanswered() -> bytes:
    classifier = Classifier()
    classifier.process.patience_s = 0.1
    return await classifier.find_image({}, size=1)


async def _unfound() -> str:
    def read() -> str:
        raise NotFound("experiment", "exp_none")

    return await Looks().look("/", read)


@pytest.mark.anyio
@pytest.mark.parametrize("asked", [_unanswered, _unfound], ids=["classifier", "version"])
async def test_what_nobody_waits_for_may_fail(asked: Callable[[], Coroutine[Any, Any, object]]) -> None:
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    before = asyncio.all_tasks()
    asking = asyncio.ensure_future(asked())
    await asyncio.sleep(0)
    (working,) = asyncio.all_tasks() - before - {asking}
    asking.cancel()
    await asyncio.wait([asking, working])
    assert asking.cancelled()
    del asking, working
    gc.collect()
    assert told == []

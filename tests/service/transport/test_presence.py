"""What becomes of work whose client leaves."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from fastapi import Request
from starlette.types import Message

from service.errors import ServiceError
from service.transport.presence import while_client_waits


def request(leaves: asyncio.Event) -> Request:
    """A request that has been read; its client stays until it leaves."""

    async def receive() -> Message:
        await leaves.wait()
        return {"type": "http.disconnect"}

    return Request({"type": "http"}, receive)


def run(test: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    async def within() -> None:
        await test(asyncio.Event())
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(within())


def test_the_work_is_answered_while_its_client_waits() -> None:
    """Its value, or its own error; nothing is left behind."""

    async def work() -> int:
        await asyncio.sleep(0)
        return 7

    async def fail() -> int:
        raise LookupError("no such thing")

    async def test(leaves: asyncio.Event) -> None:
        assert await while_client_waits(request(leaves), work()) == 7
        with pytest.raises(LookupError, match="no such thing"):
            await while_client_waits(request(leaves), fail())

    run(test)


def test_the_work_ends_when_its_client_leaves() -> None:
    """It is cancelled, and its own end is waited for before the request's place is free."""
    ended = []

    async def work(begun: asyncio.Event) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append(True)

    async def test(leaves: asyncio.Event) -> None:
        begun = asyncio.Event()
        waiting = asyncio.ensure_future(while_client_waits(request(leaves), work(begun)))
        await begun.wait()
        leaves.set()
        with pytest.raises(ServiceError) as caught:
            await waiting
        assert caught.value.status == 408
        assert ended == [True]

    run(test)


def test_the_work_ends_with_the_server() -> None:
    """Cancelled itself, it cancels the work."""

    async def test(leaves: asyncio.Event) -> None:
        never = asyncio.Event()
        waiting = asyncio.ensure_future(while_client_waits(request(leaves), never.wait()))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    run(test)

"""How much of a herd has its turn in one turn of the loop."""

import asyncio
from functools import partial

from service.transport.pace import Pace


def test_a_herd_begins_a_few_at_a_time_and_in_its_order() -> None:
    """Whatever else waits for the loop has its turn after each few."""

    async def begun_by_turn() -> list[list[int]]:
        pace = Pace(3)
        turns: list[list[int]] = [[]]

        async def begin(number: int) -> None:
            await pace.turn()
            turns[-1].append(number)

        herd = [asyncio.create_task(begin(number)) for number in range(8)]
        while not all(one.done() for one in herd):
            await asyncio.sleep(0)
            turns.append([])
        return [turn for turn in turns if turn]

    turns = asyncio.run(begun_by_turn())
    assert sorted(turns, key=lambda turn: turn[0]) == turns
    assert [number for turn in turns for number in turn] == list(range(8))
    assert max(map(len, turns)) <= 3


def test_few_do_not_wait() -> None:
    """What is done alone is done at once, in this turn of the loop and in each that follows."""

    async def do() -> list[list[str]]:
        pace = Pace(2)
        done: list[str] = []
        seen: list[list[str]] = []
        for name in ("first", "second", "third"):
            pace.soon(partial(done.append, name))
            seen.append(list(done))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        return seen

    assert asyncio.run(do()) == [["first"], ["first", "second"], ["first", "second", "third"]]


def test_who_comes_later_does_not_overtake() -> None:
    """Though there is room in the turn in which it comes."""

    async def order() -> list[int]:
        pace = Pace(2)
        done: list[int] = []
        for number in range(5):
            pace.soon(partial(done.append, number))
        await asyncio.sleep(0)
        pace.soon(partial(done.append, 5))
        for _ in range(5):
            await asyncio.sleep(0)
        return done

    assert asyncio.run(order()) == [0, 1, 2, 3, 4, 5]


def test_who_leaves_while_it_waits_holds_up_nobody() -> None:
    """A request whose client is gone gives its turn away."""

    async def begin() -> list[str]:
        pace = Pace(1)
        begun: list[str] = []

        async def one(name: str) -> None:
            await pace.turn()
            begun.append(name)

        async with asyncio.TaskGroup() as herd:
            herd.create_task(one("first"))
            leaving = herd.create_task(one("leaving"))
            herd.create_task(one("last"))
            await asyncio.sleep(0)
            leaving.cancel()
        return begun

    assert asyncio.run(begin()) == ["first", "last"]

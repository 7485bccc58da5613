"""When the API's process looks for what lives no longer and holds itself, and what it leaves out."""

import asyncio
import gc
import weakref
from collections.abc import Iterator

import pytest

from service.transport import garbage
from service.transport.admission import LISTS, SUMMARIES, Gate


class Knot:
    """It holds itself, so that only a search for garbage can let go of it."""

    def __init__(self) -> None:
        self.itself = self


def tied() -> "weakref.finalize[[], Knot]":
    """A knot that nobody holds, as old as can be: alive until a search of all finds it."""
    knot = Knot()
    end = weakref.finalize(knot, lambda: None)
    gc.collect()
    del knot
    gc.collect(1)
    assert end.alive
    return end


@pytest.fixture(autouse=True)
def young_alone() -> Iterator[None]:
    """Python by itself looks at what is young alone, as in the API's process."""
    before = gc.get_threshold()
    # What the tests have loaded is left out, as what the process has loaded is.
    garbage.let_be()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


async def until(reached: asyncio.Event) -> None:
    await asyncio.wait_for(reached.wait(), 30)


def test_what_is_old_is_looked_through_now_and_then() -> None:
    """As soon as enough has come since the last time."""

    async def goes() -> None:
        knot, gone = Knot(), asyncio.Event()
        weakref.finalize(knot, gone.set)
        gc.collect()
        del knot
        searching = asyncio.create_task(garbage.collect(lambda: False, look_every_s=0.001, grown=0))
        await until(gone)
        searching.cancel()

    asyncio.run(goes())


def test_nothing_is_looked_through_while_little_has_come() -> None:
    """An idle service does not search again and again."""

    async def looks() -> bool:
        end = tied()
        looked = 0

        def count(phase: str, told: dict[str, int]) -> None:
            nonlocal looked
            looked += phase == "start" and told["generation"] == 2

        gc.callbacks.append(count)
        searching = asyncio.create_task(garbage.collect(lambda: True, look_every_s=0, grown=4))
        for _ in range(50):
            await asyncio.sleep(0)
        searching.cancel()
        gc.callbacks.remove(count)
        return looked == 0 and end.alive

    assert asyncio.run(looks())


@pytest.mark.parametrize("gate", [SUMMARIES, LISTS])
def test_it_is_looked_for_between_reports_and_lists(gate: Gate) -> None:
    """While one is put together very much lives that is none."""

    async def waits() -> tuple[bool, bool]:
        end = tied()
        async with gate.turn():
            searching = asyncio.create_task(garbage.collect(lambda: False, look_every_s=0, grown=0))
            for _ in range(50):
                await asyncio.sleep(0)
            waited = end.alive
        for _ in range(50):
            await asyncio.sleep(0)
        searching.cancel()
        return waited, end.alive

    assert asyncio.run(waits()) == (True, False)


def test_what_a_search_leaves_is_left_out_of_the_next() -> None:
    """Whatever is being answered: else each search would look through all streams that are open, again and again."""

    async def search() -> int:
        searching = asyncio.create_task(garbage.collect(lambda: False, look_every_s=0, grown=0))
        for _ in range(10):
            await asyncio.sleep(0)
        searching.cancel()
        return len(gc.get_objects())

    kept = [[number] for number in range(30_000)]
    assert asyncio.run(search()) < len(kept)


def test_a_search_takes_hold_of_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a tuple that a thread is making, which Python then calls a fault of its own: a request was answered 500."""
    monkeypatch.delattr(gc, "get_objects")

    async def search() -> bool:
        searching = asyncio.create_task(garbage.collect(lambda: True, look_every_s=0, grown=0, times=0))
        for _ in range(5):
            await asyncio.sleep(0)
        goes_on = not searching.done()
        searching.cancel()
        return goes_on

    assert asyncio.run(search())


@pytest.mark.parametrize("is_quiet", [True, False])
def test_what_was_let_be_and_lost_is_found_when_nobody_waits(*, is_quiet: bool) -> None:
    """Once as much may have been lost; a search of all stops everything for a fifth of a second."""

    async def search() -> bool:
        knot = Knot()
        end = weakref.finalize(knot, lambda: None)
        gc.freeze()
        del knot
        searching = asyncio.create_task(garbage.collect(lambda: is_quiet, look_every_s=0, grown=1_000, times=0))
        for _ in range(3):
            await asyncio.sleep(0)
        searching.cancel()
        return end.alive

    assert asyncio.run(search()) != is_quiet


def test_nothing_is_looked_through_again_that_has_not_grown() -> None:
    """Where nobody waits for hours what was let be stays so."""

    async def search() -> bool:
        knot = Knot()
        end = weakref.finalize(knot, lambda: None)
        gc.freeze()
        del knot
        searching = asyncio.create_task(garbage.collect(lambda: True, look_every_s=0, grown=1_000))
        for _ in range(10):
            await asyncio.sleep(0)
        searching.cancel()
        return end.alive

    assert asyncio.run(search())

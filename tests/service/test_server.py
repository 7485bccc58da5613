"""The API's process."""

import asyncio
import gc
import weakref

from service.server import collect_every


class Knot:
    """It holds itself, so that only a search for garbage can let go of it."""

    def __init__(self) -> None:
        self.itself = self


def test_what_is_old_is_looked_through_now_and_then() -> None:
    """Where Python by itself looks at what is young alone, an old knot that nobody holds goes all the same."""

    async def knot_goes() -> None:
        knot, gone = Knot(), asyncio.Event()
        weakref.finalize(knot, gone.set)
        # Now it is as old as can be.
        gc.collect()
        del knot
        gc.collect(1)
        assert not gone.is_set()
        collecting = asyncio.create_task(collect_every(0.01))
        await asyncio.wait_for(gone.wait(), 30)
        collecting.cancel()

    before = gc.get_threshold()
    gc.set_threshold(700, 10, 1_000_000)
    try:
        asyncio.run(knot_goes())
    finally:
        gc.set_threshold(*before)

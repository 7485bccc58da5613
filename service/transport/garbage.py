"""What lives no longer and holds itself, found at times when little else lives: to look for it stops everything.

By itself Python looks through all that lives whenever that has grown by a quarter, which took 90 to 140 ms again and
again while a report of a thousand runs was made. What is young it looks through as ever.
"""

import asyncio
import gc
from collections.abc import Callable

from service.transport.admission import LISTS, SUMMARIES

_YOUNG_ALONE = (700, 10, 1_000_000)
# 500 streams that are opened within a second are looked through a part at a time.
_LOOK_EVERY_S = 0.1
# So many looks through what is young, each after so many objects more than there were, or so long a time.
_GROWN = 4
_OF_EACH = 8_000
_AT_LEAST_EVERY_S = 60.0
# All is looked through once so many times as much has been let be as there was the last time: a fifth of a second.
_TIMES = 2.0


def let_be() -> None:
    """Leave what there is out of every search from now on, and what is not young to `collect`."""
    gc.freeze()
    gc.set_threshold(*_YOUNG_ALONE)


async def collect(
    is_quiet: Callable[[], bool],
    *,
    look_every_s: float = _LOOK_EVERY_S,
    grown: int = _GROWN,
    times: float = _TIMES,
) -> None:
    """Search for ever: between two reports or lists, and as soon as there is enough to be found, so that it is little.

    What a search leaves is let be where much had come: what was loaded or kept, connections, streams, and what
    a request is answered with at that moment. Almost nothing of it holds itself, and the rest is what gets lost: all is
    looked through again when that may have become as much as everything else, and nobody waits.

    Args:
        is_quiet: whether no request is being answered.
        look_every_s: how often to look whether it is time.
        grown: how many looks through what is young there are between two searches.
        times: how many times as much may be let be as there was when all was looked through, before that is done again.
    """
    loop = asyncio.get_running_loop()
    searched = loop.time()
    known, added = gc.get_freeze_count(), 0
    while True:
        await asyncio.sleep(look_every_s)
        if added > (times - 1) * known and is_quiet():
            # Most of it may have ended since: to count takes an eighth of a search.
            added = gc.get_freeze_count() - known
            if added > (times - 1) * known:
                _search_all()
                known, added = gc.get_freeze_count(), 0
        if gc.get_count()[2] < grown and loop.time() - searched < _AT_LEAST_EVERY_S:
            continue
        async with SUMMARIES.turn(), LISTS.turn():
            looks = gc.get_count()[2]
            gc.collect()
            if looks >= grown:
                gc.freeze()
                # An estimate. To list all objects would hold one that another thread is making, which then fails.
                added += looks * _OF_EACH
        searched = loop.time()


def _search_all() -> None:
    gc.unfreeze()
    gc.collect()
    gc.freeze()

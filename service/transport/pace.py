"""What comes in herds, a few of them in each turn of the loop: what others ask has its turn between."""

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial


class Pace:
    """Lets so many begin in each turn of the event loop. The others wait, first come first served."""

    def __init__(self, most: int) -> None:
        self._most = most
        # While this is not 0, a look at who waits is due.
        self._begun = 0
        self._waiting: deque[Callable[[], object]] = deque()

    def soon(self, do: Callable[[], object]) -> None:
        """Do it now if few have begun in this turn, or in one of the next."""
        if not self._begun:
            asyncio.get_running_loop().call_soon(self._next)
        if self._begun < self._most and not self._waiting:
            self._begun += 1
            do()
        else:
            self._waiting.append(do)

    async def turn(self) -> None:
        """Wait for a turn of the loop in which few have begun."""
        come = asyncio.get_running_loop().create_future()
        self.soon(partial(_let_go_on, come))
        # One that is let go on at once waits for nothing.
        if not come.done():
            await come

    def _next(self) -> None:
        self._begun = 0
        while self._waiting and self._begun < self._most:
            self._begun += 1
            self._waiting.popleft()()
        if self._begun:
            asyncio.get_running_loop().call_soon(self._next)


def _let_go_on(come: asyncio.Future[None]) -> None:
    if not come.done():
        come.set_result(None)

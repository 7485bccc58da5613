"""Asking a service again and again for hours: what goes on through its restarts, and for how long it is waited for."""

import time
from collections.abc import Callable
from typing import TypeVar

from gauntlet.client import GauntletClientError
from gauntlet.client.errors import Unreachable

PATIENCE_S = 600.0
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 5.0

T = TypeVar("T")


class Patience:
    """Asks, and asks again where no answer came or one that may pass, for at most `patience_s` at a time.

    A service that has not answered yet is not waited for: then its address is probably wrong.

    Args:
        tell: writes a line when the service falls silent, and when it answers again.
    """

    def __init__(
        self, tell: Callable[[str], None], patience_s: float = PATIENCE_S, first_pause_s: float = _FIRST_PAUSE_S
    ) -> None:
        self._tell = tell
        self._patience_s = patience_s
        self._first_pause_s = first_pause_s
        self._has_answered = False

    def ask(self, question: Callable[[], T]) -> T:
        """The answer.

        Raises:
            GauntletClientError: it cannot be had, or not within the time.
        """
        silent_since: float | None = None
        pause_s = self._first_pause_s
        while True:
            try:
                answer = question()
            except GauntletClientError as error:
                if not (self._has_answered and error.may_pass):
                    raise
                if silent_since is None:
                    silent_since = time.monotonic()
                    self._tell(f"{_first_line(error)} It is asked again for {self._minutes()}.")
                if time.monotonic() - silent_since >= self._patience_s:
                    raise Unreachable(f"{_first_line(error)} It was asked for {self._minutes()}.") from error
                time.sleep(min(pause_s, self._patience_s))
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            else:
                self._has_answered = True
                if silent_since is not None:
                    self._tell("The service answers again.")
                return answer

    def _minutes(self) -> str:
        return f"{self._patience_s / 60:g} minutes"


def _first_line(error: GauntletClientError) -> str:
    return str(error).partition("\n")[0]

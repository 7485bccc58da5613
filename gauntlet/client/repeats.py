"""Which requests are sent again, and after how long."""

from http import HTTPStatus

import httpx2

# Enough for a short hiccup of the service; what may take longer waits by itself.
PAUSES_S = (0.2, 0.5, 1.5)
TRY_AGAIN = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}
_LONGEST_PAUSE_S = 30.0


def asked_for_s(answer: httpx2.Response) -> float:
    """How long the answer asks to wait, within bounds; 0 where it does not say so in seconds."""
    asked = answer.headers.get("Retry-After", "")
    return min(float(asked), _LONGEST_PAUSE_S) if asked.isdecimal() else 0

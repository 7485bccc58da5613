"""How often tokens were shown that open nothing, lately: by each address, and by all together.

Who shows a token that does open something is never held up: many may come from behind one proxy. Nobody guesses 178
random bits; what is slowed is a script that goes on with a token that was revoked, or tries what it found elsewhere.
"""

import logging
import threading
import time
from collections import OrderedDict
from ipaddress import IPv6Address, ip_address, ip_network

from service.errors import ServiceError

logger = logging.getLogger(__name__)

_WITHIN_S = 60.0
# More than anybody's typing errors explain.
_BY_ONE = 20
_BY_ALL = 1_000
_ADDRESSES = 10_000
# Whoever has one address of IPv6 has as many as this prefix leaves.
_SITE = 64


class FailedLogins:
    """Counts them. Only the latest addresses are remembered; what all fail together is counted whoever they are."""

    def __init__(self) -> None:
        self._by_address: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._by_all = (0, time.monotonic())
        self._lock = threading.Lock()

    def note(self, address: str) -> None:
        """Count one more.

        Raises:
            ServiceError: 429 after too many of them.
        """
        whose = _counted_as(address)
        now = time.monotonic()
        with self._lock:
            ours = self._by_address[whose] = _one_more(self._by_address.pop(whose, (0, now)), now)
            self._by_all = _one_more(self._by_all, now)
            if len(self._by_address) > _ADDRESSES:
                self._by_address.popitem(last=False)
            everybodys = self._by_all
        if ours[0] == _BY_ONE + 1:
            logger.warning("%s showed %d tokens within a minute that open nothing.", whose or "Somebody", ours[0])
        if ours[0] > _BY_ONE:
            raise _too_many(f"{ours[0] - 1} requests from this address", ours[1], now)
        if everybodys[0] > _BY_ALL:
            raise _too_many(f"{everybodys[0] - 1} requests from many addresses", everybodys[1], now)


def _counted_as(address: str) -> str:
    """An address of IPv6 as the network that its holder has, one of IPv4 in its clothes as that."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address[:100]
    if isinstance(found, IPv6Address):
        inner = found.ipv4_mapped
        return str(inner or ip_network((found, _SITE), strict=False))
    return str(found)


def _one_more(before: tuple[int, float], now: float) -> tuple[int, float]:
    count, since = before
    return (1, now) if now - since > _WITHIN_S else (count + 1, since)


def _too_many(who: str, since: float, now: float) -> ServiceError:
    detail = f"{who} showed a token that opens nothing, within a minute. Try again later."
    wait_s = int(since + _WITHIN_S - now) + 1
    return ServiceError(429, "too-many-failed-logins", detail, headers={"Retry-After": str(wait_s)})

"""Failed logins: counted by who has the address, wherever it stands, and by all together."""

from collections import deque
from contextlib import suppress
from itertools import count

import pytest
from fastapi.testclient import TestClient

from service.app import create_app
from service.callers.failed_logins import FailedLogins
from service.errors import ServiceError
from service.settings import ServiceSettings
from store.accounts.token_text import new_token
from tests.service.logins import bearer


def slowed_after(*addresses: str) -> int:
    """How many failures, by the addresses in turn, are answered before one is slowed."""
    failures, noted = FailedLogins(), count()
    with pytest.raises(ServiceError) as slowed:
        deque((failures.note(addresses[number % len(addresses)]) for number in noted), maxlen=0)
    assert slowed.value.status == 429
    assert 1 <= int((slowed.value.headers or {})["Retry-After"]) <= 61
    return next(noted) - 1


@pytest.mark.parametrize(
    ("addresses", "answered"),
    [
        (["192.0.2.1"], 20),
        (["192.0.2.1", "192.0.2.2"], 40),
        (["2001:db8::1", "2001:db8::2:1", "2001:db8:0:0:ffff::"], 20),
        (["2001:db8::1", "2001:db8:0:1::1"], 40),
        (["192.0.2.1", "::ffff:192.0.2.1"], 20),
        (["fe80::1%eth0", "fe80::2%eth0"], 20),
        ([""], 20),
        (["no address"], 20),
    ],
    ids=str,
)
def test_who_has_an_address_is_counted(addresses: list[str], answered: int) -> None:
    """All addresses of a /64 are one holder's, and one of IPv4 is the same in either form."""
    assert slowed_after(*addresses) == answered


def test_many_addresses_together_are_slowed_too() -> None:
    """A thousand a minute, though no address fails twice."""
    assert slowed_after(*(f"10.{number // 250}.{number % 250}.1" for number in range(1_200))) == 1_000


def test_no_more_addresses_are_remembered_than_there_is_room_for() -> None:
    """However many come."""
    failures = FailedLogins()
    for number in range(10_050):
        with suppress(ServiceError):
            failures.note(f"10.{number // 62_500}.{number // 250 % 250}.{number % 250}")
    assert len(failures._by_address) == 10_000


def test_a_forwarded_address_counts_where_the_proxy_is_trusted(guarded: ServiceSettings) -> None:
    """From anybody else the header is only something that they say, and changes nothing."""

    def statuses(peer: str, forwarded: list[str]) -> list[int]:
        app = create_app(guarded.model_copy(update={"trusted_proxies": ("10.1.0.0/16", "::1")}))
        with TestClient(app, client=(peer, 1)) as client:
            return [
                client.get("/v1/runs", headers=bearer(new_token()) | {"X-Forwarded-For": address}).status_code
                for address in forwarded
            ]

    many = [f"192.0.2.{number}" for number in range(21)]
    assert statuses("10.1.0.9", many) == [401] * 21
    assert statuses("10.2.0.9", many) == [401] * 20 + [429]
    assert statuses("10.1.0.9", [f"{address}, 198.51.100.1" for address in many]) == [401] * 20 + [429]

"""Whose token it is is read once, as long as nothing is written; what is written is news to the next request."""

import time
from collections.abc import Callable

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import update

from gauntlet.spec.asked.tokens import TokenRequest
from service.callers import known_callers
from service.callers.access import Access
from service.callers.known_callers import KnownCallers
from service.settings import ServiceSettings
from store.accounts import secret_key, tokens
from store.accounts.tokens import Caller
from store.database import Database, db_now
from store.models import Token
from tests.service.logins import bearer


@pytest.fixture
def token(guarded: ServiceSettings) -> str:
    database = Database(guarded.database_url)
    with database.writing() as session:
        _, text = tokens.create(
            session, secret_key.read_or_make(guarded.secret_key_file), TokenRequest(owner="ada", scope="read")
        )
    database.close()
    return text


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The secrets that were looked for in the database, in the order of the requests."""
    # However busy the machine is.
    monkeypatch.setattr(known_callers, "_FOR_S", 600.0)
    found: list[str] = []
    look = Access.log_in

    def counted(access: Access, request: dict[str, object], shown: str) -> Caller:
        found.append(shown)
        return look(access, request, shown)

    monkeypatch.setattr(Access, "log_in", counted)
    return found


def test_a_token_is_looked_for_once(guarded_api: TestClient, token: str, looks: list[str]) -> None:
    """The first look writes that it is in use, so the second is the one that lasts."""
    for _ in range(5):
        assert guarded_api.get("/v1/runs", headers=bearer(token)).status_code == 200
    assert looks == [token, token]


@pytest.mark.parametrize(
    "change",
    [lambda: {"revoked_at": db_now()}, lambda: {"expires_at": db_now()}, lambda: {"scope": "submit"}],
    ids=["revoked", "expired", "rescoped"],
)
def test_what_another_process_writes_holds_for_the_next_request(
    guarded_api: TestClient,
    guarded: ServiceSettings,
    token: str,
    looks: list[str],
    change: Callable[[], dict[str, object]],
) -> None:
    """A token that was revoked, or whose end was set, opens nothing at once."""
    for _ in range(3):
        assert guarded_api.get("/v1/runs", headers=bearer(token)).status_code == 200
    database, wanted = Database(guarded.database_url), change()
    with database.writing() as session:
        session.execute(update(Token).values(**wanted))
    database.close()
    answer = guarded_api.get("/v1/runs", headers=bearer(token))
    assert answer.status_code == (200 if "scope" in wanted else 401)
    assert len(looks) == 3


def test_a_known_caller_ends_with_the_token(sqlite_url: str) -> None:
    """To the moment, though nothing is written then; and one whose use is to be noted is not kept."""
    database = Database(sqlite_url)
    known = KnownCallers(database, b"key")
    now = time.time()
    lasting, ending, noted = (
        Caller("tok_1", "ada", "read", use_is_news, expires_at)
        for use_is_news, expires_at in ((False, now + 600), (False, now - 0.001), (True, None))
    )
    for name, caller in (("lasting", lasting), ("ending", ending), ("noted", noted)):
        known.keep(name, caller, known.changes())
    assert known.find("lasting", known.changes()) == lasting
    assert known.find("ending", known.changes()) is None
    assert known.find("noted", known.changes()) is None
    assert known.find("another", known.changes()) is None
    database.close()


def test_nobody_is_known_where_a_database_cannot_say_what_is_new(sqlite_url: str) -> None:
    """There whose token it is is read at every request."""
    database = Database(sqlite_url)
    known = KnownCallers(database, b"key")
    known.keep("secret", Caller("tok_1", "ada", "read", use_is_news=False), None)
    assert known.find("secret", None) is None
    database.close()

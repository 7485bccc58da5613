"""Sessions on both databases: whose they are, until when, and how many there may be."""

from sqlalchemy import func, select, update

from gauntlet.spec.asked.tokens import TokenRequest
from store.accounts import sessions, tokens
from store.database import Database
from store.models import BrowserSession

KEY = bytes(range(32))
HOUR_S = 3_600.0


def test_a_session_is_its_tokens(database: Database) -> None:
    """It opens what the token opens, for its own time; another key's or another text is nobody's."""
    with database.writing() as session:
        row, text = tokens.create(session, KEY, TokenRequest(owner="ada", scope="submit", expires="12h"))
        ada = tokens.caller(session, KEY, text)
        assert ada is not None
        begun = sessions.begin(session, KEY, ada, lasts_s=HOUR_S)
    assert begun.lasts_s == HOUR_S
    with database.reading() as session:
        assert sessions.caller(session, KEY, begun.secret) == begun.caller
        assert (begun.caller.owner, begun.caller.scope, begun.caller.token) == ("ada", "submit", row.id)
        assert sessions.caller(session, bytes(32), begun.secret) is None
        assert sessions.caller(session, KEY, begun.secret[:-1] + "\0") is None
    with database.writing() as session:
        sessions.end(session, begun.caller.session or "")
        assert sessions.caller(session, KEY, begun.secret) is None


def test_a_token_has_so_many_sessions_and_no_more(database: Database) -> None:
    """The oldest end first; another token's stay."""
    with database.writing() as session:
        callers = []
        for owner in ("ada", "bob"):
            _, text = tokens.create(session, KEY, TokenRequest(owner=owner, scope="read"))
            callers.append(tokens.caller(session, KEY, text))
        ada, bob = callers
        assert ada is not None
        assert bob is not None
        bobs = sessions.begin(session, KEY, bob, lasts_s=HOUR_S)
        begun = []
        for number in range(53):
            begun.append(sessions.begin(session, KEY, ada, lasts_s=HOUR_S))
            # Long ago, one second after the other: those of one millisecond have no order.
            ours = BrowserSession.digest == begun[-1].caller.session
            session.execute(update(BrowserSession).where(ours).values(created_at=number))
        assert session.scalar(select(func.count()).select_from(BrowserSession)) == 51
        opened = [sessions.caller(session, KEY, one.secret) is not None for one in begun]
        assert opened == [False] * 3 + [True] * 50
        assert sessions.caller(session, KEY, bobs.secret) is not None

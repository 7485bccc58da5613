"""Sessions: what a browser shows in the place of a token, for some hours, and never longer than the token opens."""

import re
import secrets
from collections.abc import Collection
from dataclasses import replace
from typing import NamedTuple

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from store.accounts.token_text import digest
from store.accounts.tokens import Caller, caller_of
from store.database import db_now
from store.models import BrowserSession, Token

_RANDOM_BYTES = 32
# More than anybody has browsers; a script that logs in each time that it asks fills no table.
_MOST_OF_A_TOKEN = 50
_SECRET = re.compile(r"[A-Za-z0-9_-]{43}")


class Begun(NamedTuple):
    """A new session: what the browser shows from now on, which nobody can be told again, and for how long."""

    secret: str
    lasts_s: float
    caller: Caller


def begin(session: Session, key: bytes, caller: Caller, *, lasts_s: float) -> Begun:
    """Let a browser show a secret in the place of the caller's token.

    Ended sessions are forgotten, and the oldest of a token that has begun too many.
    """
    now = session.execute(select(db_now())).scalar_one()
    session.execute(delete(BrowserSession).where(BrowserSession.expires_at <= now))
    secret = secrets.token_urlsafe(_RANDOM_BYTES)
    expires_at = now + lasts_s if caller.expires_at is None else min(now + lasts_s, caller.expires_at)
    row = BrowserSession(digest=digest(secret, key), token_id=caller.token, created_at=now, expires_at=expires_at)
    session.add(row)
    session.flush()
    ours = select(BrowserSession.digest).where(BrowserSession.token_id == caller.token)
    older = ours.order_by(BrowserSession.created_at.desc(), BrowserSession.digest).offset(_MOST_OF_A_TOKEN)
    session.execute(delete(BrowserSession).where(BrowserSession.digest.in_(session.scalars(older).all())))
    return Begun(secret, expires_at - now, replace(caller, expires_at=expires_at, session=row.digest))


def caller(session: Session, key: bytes, secret: str) -> Caller | None:
    """Whose session it is; None where it is nobody's, has ended, or its token opens nothing any more."""
    if _SECRET.fullmatch(secret) is None:
        return None
    query = select(BrowserSession, Token, db_now()).join(Token, Token.id == BrowserSession.token_id)
    found = session.execute(query.where(BrowserSession.digest == digest(secret, key))).one_or_none()
    if found is None:
        return None
    row, token, now = found
    if row.expires_at <= now:
        return None
    whose = caller_of(token, now)
    return None if whose is None else replace(whose, expires_at=row.expires_at, session=row.digest)


def lasting(session: Session, digests: Collection[str]) -> set[str]:
    """Which of the sessions have not ended; whether their tokens open anything is another question."""
    query = select(BrowserSession.digest).where(
        BrowserSession.digest.in_(digests), BrowserSession.expires_at > db_now()
    )
    return set(session.scalars(query))


def end(session: Session, shown: str) -> None:
    """Let the session with that digest open nothing from now on."""
    session.execute(delete(BrowserSession).where(BrowserSession.digest == shown))

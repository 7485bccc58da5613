"""Who may do what: tokens as rows. A token itself is shown once and never stored.

Scopes: `read` sees everything and classifies images, `submit` asks for work too, `admin` gives and revokes tokens too.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, bindparam, or_, select, update
from sqlalchemy.orm import Session

from gauntlet import resources
from gauntlet.spec.asked.tokens import Scope, TokenRequest
from store.accounts.token_text import digest, is_token, new_token
from store.database import db_now, take_turn
from store.lookup import find
from store.models import Token, new_id
from store.shown.pages import PageOf, newest_first
from store.times import as_datetime

# Each use would otherwise be a write; a minute is fine enough to see whether a token is still needed.
_NOTED_EVERY_S = 60.0
_RANK: dict[Scope, int] = {"read": 0, "submit": 1, "admin": 2}
_COLUMNS = Token.__table__.c
# Every request asks it. Made once, and of columns, it takes a third of the time.
_OF_DIGEST = select(
    *(_COLUMNS[name] for name in ("id", "owner", "scope", "revoked_at", "expires_at", "last_used_at")),
    db_now().label("now"),
).where(_COLUMNS.digest == bindparam("digest"))


@dataclass(frozen=True)
class Caller:
    """Who makes a request: the owner of a token, and what it may do until `expires_at`.

    `use_is_news` says that the token's last use was written down a while ago, or never. `session` is the digest of the
    session that was shown in the token's place.
    """

    token: str
    owner: str
    scope: Scope
    use_is_news: bool
    expires_at: float | None = None
    session: str | None = None

    def may(self, scope: Scope) -> bool:
        """Whether the token's scope takes in that one."""
        return _RANK[self.scope] >= _RANK[scope]


def create(session: Session, key: bytes, request: TokenRequest, *, text: str | None = None) -> tuple[Token, str]:
    """A new token: its row, and the text that nobody can be told again.

    `text` is that of one that was made elsewhere, by `new_token`.
    """
    text = text or new_token()
    now = session.execute(select(db_now())).scalar_one()
    row = Token(
        id=new_id("tok"),
        created_at=now,
        owner=request.owner,
        name=request.name,
        scope=request.scope,
        digest=digest(text, key),
        expires_at=None if request.expires_in_s is None else now + request.expires_in_s,
    )
    session.add(row)
    session.flush()
    return row, text


def caller(session: Session, key: bytes, text: str) -> Caller | None:
    """Whose token `text` is; None where it is nobody's, has expired or was revoked."""
    if not is_token(text):
        return None
    # The index is searched for a hash under a key that only this installation has, so how long it takes tells nothing.
    found = session.execute(_OF_DIGEST, {"digest": digest(text, key)}).one_or_none()
    return None if found is None else caller_of(found, found.now)


def usable(session: Session, identifiers: Collection[str]) -> set[str]:
    """Which of the tokens open anything now."""
    lasting = or_(Token.expires_at.is_(None), Token.expires_at > db_now())
    query = select(Token.id).where(Token.id.in_(identifiers), Token.revoked_at.is_(None), lasting)
    return set(session.scalars(query))


def caller_of(row: Token | Row[*tuple[Any, ...]], now: float) -> Caller | None:
    """Whom the token opens the API to; None where it opens nothing any more."""
    if row.revoked_at is not None:
        return None
    if row.expires_at is not None and row.expires_at <= now:
        return None
    use_is_news = row.last_used_at is None or row.last_used_at < now - _NOTED_EVERY_S
    return Caller(row.id, row.owner, row.scope, use_is_news, row.expires_at)


def note_use(session: Session, token: str) -> None:
    """Write down that the token was used now."""
    session.execute(update(Token).where(Token.id == token).values(last_used_at=db_now()))


def revoke(session: Session, identifier: str) -> Token:
    """Let the token open nothing from now on; once revoked it stays so.

    Raises:
        NotFound: there is none.
    """
    row = find(session, Token, "token", identifier)
    if row.revoked_at is None:
        row.revoked_at = session.execute(select(db_now())).scalar_one()
    return row


def page(session: Session, *, after: str | None, limit: int) -> PageOf[Token]:
    """Tokens, newest first, those that open nothing any more too."""
    return newest_first(session, select(Token), Token.id, after=after, limit=limit)


def any_usable(session: Session) -> bool:
    """Whether some token still opens something."""
    usable = select(Token.id).where(
        Token.revoked_at.is_(None), (Token.expires_at.is_(None)) | (Token.expires_at > db_now())
    )
    return session.scalar(usable.limit(1)) is not None


def take_up(session: Session, key: bytes, text: str) -> None:
    """Let a token that was made elsewhere open everything; one that was taken up before stays as it is, or revoked."""
    # Of services that start at once with the same file.
    take_turn(session, "first token")
    if session.scalars(select(Token).where(Token.digest == digest(text, key))).one_or_none() is None:
        create(session, key, TokenRequest(owner="first", scope="admin", name="the first token"), text=text)


def show(row: Token) -> resources.Token:
    """A token as the API shows it: everything but itself."""
    return resources.Token(
        id=row.id,
        created_at=as_datetime(row.created_at),
        owner=row.owner,
        name=row.name,
        scope=row.scope,
        expires_at=as_datetime(row.expires_at),
        last_used_at=as_datetime(row.last_used_at),
        revoked_at=as_datetime(row.revoked_at),
    )

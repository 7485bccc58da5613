"""Who one is; and, for admins, tokens and the audit list."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from gauntlet.client.addresses import moment, place
from gauntlet.client.documents import body
from gauntlet.client.synchronous.connection import Connection
from gauntlet.resources import (
    AuditEntry,
    NewToken,
    Session,
    Token,
)
from gauntlet.spec.asked.tokens import TokenRequest


class Tokens:
    _http: Connection

    def create_token(self, request: TokenRequest | Mapping[str, Any]) -> NewToken:
        """Make a token, as an admin. Not sent again if the answer is lost: the token would be lost with it."""
        return self._http.read(NewToken, "POST", "/v1/tokens", pauses_s=(), **body(request))

    def tokens(self) -> Iterator[Token]:
        """All tokens, newest first, but for what they say themselves."""
        return self._http.all(Token, "/v1/tokens")

    def revoke_token(self, identifier: str) -> Token:
        """Let a token open nothing from now on."""
        return self._http.read(Token, "DELETE", place("tokens", identifier))

    def session(self) -> Session:
        """Who asks, and what they may do; whether the service wants a login at all."""
        return self._http.read(Session, "GET", "/v1/session")

    def audit(
        self, owner: str | None = None, *, since: datetime | None = None, until: datetime | None = None
    ) -> Iterator[AuditEntry]:
        """Who did what, newest first, as an admin; of one owner, and between two moments with their time zones."""
        return self._http.all(AuditEntry, "/v1/audit", owner=owner, since=moment(since), until=moment(until))

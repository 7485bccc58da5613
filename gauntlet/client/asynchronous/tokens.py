"""Who one is; and, for admins, tokens and the audit list."""

from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Any

from gauntlet.client.addresses import moment, place
from gauntlet.client.asynchronous.connection import Connection
from gauntlet.client.documents import body
from gauntlet.resources import (
    AuditEntry,
    NewToken,
    Session,
    Token,
)
from gauntlet.spec.asked.tokens import TokenRequest


class Tokens:
    _http: Connection

    async def create_token(self, request: TokenRequest | Mapping[str, Any]) -> NewToken:
        """Make a token, as an admin. Not sent again if the answer is lost: the token would be lost with it."""
        return await self._http.read(NewToken, "POST", "/v1/tokens", pauses_s=(), **body(request))

    def tokens(self) -> AsyncIterator[Token]:
        """All tokens, newest first, but for what they say themselves."""
        return self._http.all(Token, "/v1/tokens")

    async def revoke_token(self, identifier: str) -> Token:
        """Let a token open nothing from now on."""
        return await self._http.read(Token, "DELETE", place("tokens", identifier))

    async def session(self) -> Session:
        """Who asks, and what they may do; whether the service wants a login at all."""
        return await self._http.read(Session, "GET", "/v1/session")

    def audit(
        self, owner: str | None = None, *, since: datetime | None = None, until: datetime | None = None
    ) -> AsyncIterator[AuditEntry]:
        """Who did what, newest first, as an admin; of one owner, and between two moments with their time zones."""
        return self._http.all(AuditEntry, "/v1/audit", owner=owner, since=moment(since), until=moment(until))

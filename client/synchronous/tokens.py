"""Tokens, for admins."""

from collections.abc import Iterator, Mapping
from typing import Any

from client.addresses import place
from client.documents import body
from client.synchronous.connection import Connection
from gauntlet.resources import (
    NewToken,
    Token,
)
from gauntlet.spec.tokens import TokenRequest


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

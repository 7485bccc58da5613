"""Callers of a service that wants tokens."""

from gauntlet.spec.asked.tokens import Scope, TokenRequest
from service.settings import ServiceSettings
from store.accounts import secret_key, tokens
from store.database import Database


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def login(settings: ServiceSettings, owner: str, scope: Scope) -> dict[str, str]:
    """The headers of a caller who has a token of their own."""
    key = secret_key.read_or_make(settings.secret_key_file)
    database = Database(settings.database_url)
    with database.writing() as session:
        _, text = tokens.create(session, key, TokenRequest(owner=owner, scope=scope))
    database.close()
    return bearer(text)

"""/v1/tokens: made, listed, revoked; for admins alone (`service.callers.access`)."""

from fastapi import APIRouter

from gauntlet.resources import NewToken, Page, Token
from gauntlet.spec.asked.tokens import TokenRequest
from service.answering.pages import as_page
from service.dependencies import After, DatabaseDep, Limit, SettingsDep
from service.requests.routing import Route
from store.accounts import secret_key, tokens

router = APIRouter(prefix="/v1/tokens", tags=["tokens"], route_class=Route)


@router.post("", status_code=201)
def create_token(request: TokenRequest, database: DatabaseDep, settings: SettingsDep) -> NewToken:
    """Make a token. The answer is the only one that ever holds it."""
    key = secret_key.read_or_make(settings.secret_key_file)
    with database.writing() as session:
        row, text = tokens.create(session, key, request)
        return NewToken(**tokens.show(row).model_dump(), token=text)


@router.get("")
def list_tokens(database: DatabaseDep, limit: Limit = 20, after: After = None) -> Page[Token]:
    """Tokens, newest first, with those that have expired or were revoked."""
    with database.reading() as session:
        found = tokens.page(session, after=after, limit=limit)
    return as_page(found, tokens.show, lambda token: token.id)


@router.delete("/{token_id}")
def revoke_token(token_id: str, database: DatabaseDep) -> Token:
    """Let it open nothing from now on; it stays in the list."""
    with database.writing() as session:
        return tokens.show(tokens.revoke(session, token_id))

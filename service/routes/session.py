"""/v1/session: a token exchanged for a cookie, so that a browser need not keep it; and who asks."""

from fastapi import APIRouter, Request, Response

from gauntlet.resources import Session
from gauntlet.spec.asked.tokens import SessionRequest
from service.callers import session_cookie
from service.callers.access import token_in
from service.dependencies import AccessDep, CallerDep, DatabaseDep, SettingsDep
from service.requests.routing import Route
from store.accounts import sessions
from store.accounts.tokens import Caller
from store.times import as_datetime

router = APIRouter(prefix="/v1/session", tags=["tokens"], route_class=Route)

_NOT_KEPT = {"Cache-Control": "no-store"}


@router.post("", status_code=201, responses={401: {}})
def begin_session(
    exchange: SessionRequest,
    request: Request,
    response: Response,
    access: AccessDep,
    database: DatabaseDep,
    settings: SettingsDep,
) -> Session:
    """Log a browser in: the cookie of the answer stands for the token, for some hours, and is revoked with it."""
    response.headers.update(_NOT_KEPT)
    if not access.is_on:
        return _show(None)
    caller = access.log_in(request.scope, exchange.token or token_in(request.headers))
    request.state.caller = caller
    with database.writing() as session:
        begun = sessions.begin(session, access.key, caller, lasts_s=settings.session_s)
    session_cookie.hand_out(response, request.scope["scheme"], begun.secret, lasts_s=begun.lasts_s)
    return _show(begun.caller)


@router.get("")
def get_session(caller: CallerDep, response: Response) -> Session:
    """Who asks, and until when; where no login is wanted, that it is not."""
    response.headers.update(_NOT_KEPT)
    return _show(caller)


@router.delete("", status_code=204)
def end_session(request: Request, response: Response, caller: CallerDep, database: DatabaseDep) -> None:
    """Log the browser out. Its token stays as it is."""
    if caller is not None and caller.session is not None:
        with database.writing() as session:
            sessions.end(session, caller.session)
    session_cookie.take_back(response, request.scope["scheme"])


def _show(caller: Caller | None) -> Session:
    if caller is None:
        return Session(login=False, owner=None, scope="admin", expires_at=None)
    return Session(login=True, owner=caller.owner, scope=caller.scope, expires_at=as_datetime(caller.expires_at))

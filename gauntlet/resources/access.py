"""Who may do what, and who did."""

from datetime import datetime
from typing import Literal

from gauntlet.resources.base import Resource
from gauntlet.spec.asked.tokens import Scope


class Token(Resource):
    """What opens the API to its owner, but for the token itself, which is told once, when it is made."""

    id: str
    object: Literal["token"] = "token"
    created_at: datetime
    owner: str
    name: str | None
    scope: Scope
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None


class NewToken(Token):
    """The answer to its making, the only one that holds the token."""

    token: str


class AuditEntry(Resource):
    """That a request changed something, or was refused for want of rights: `outcome` is `done` or the refusal's kind.

    `route` is the path with the names of its parameters, `subject` the object that was changed, or made; of several the
    first. `owner` and `token` are None where there was no login.
    """

    id: int
    object: Literal["audit_entry"] = "audit_entry"
    created_at: datetime
    owner: str | None
    token: str | None
    method: str
    route: str
    subject: str | None
    outcome: str
    request: str | None


class Session(Resource):
    """Who asks. Without `login` the service takes everybody for an admin; then there is no `owner`."""

    object: Literal["session"] = "session"
    login: bool
    owner: str | None
    scope: Scope
    expires_at: datetime | None

"""Whose a row is, and who may change it."""

from typing import Protocol

from store.accounts.tokens import Caller
from store.errors import NotYours

_CALLED = {"Dataset": "data set"}


class Owned(Protocol):
    """A row with an owner, None where it was made without a login."""

    @property
    def id(self) -> str: ...
    @property
    def owner(self) -> str | None: ...


def require_may_change(caller: Caller | None, row: Owned) -> None:
    """Do nothing where the caller may change the row.

    Its owner may, and an admin. Where it has no owner whoever may change anything may; where there is no login, so
    that there is no caller either, everybody may.

    Raises:
        NotYours: it is somebody else's.
    """
    if caller is None or row.owner in (None, caller.owner) or caller.may("admin"):
        return
    kind = type(row).__name__
    raise NotYours(_CALLED.get(kind, kind.lower()), row.id, row.owner or "nobody")

"""Whose token or session was shown a moment ago, as long as nothing at all has been written since."""

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass

from store.accounts.token_text import digest
from store.accounts.tokens import Caller
from store.database import Database

# Once in a while it is written down that a token is in use.
_FOR_S = 1.0
_MOST = 1_000


@dataclass(frozen=True)
class _Known:
    caller: Caller
    changes: int
    since: float


class KnownCallers:
    """Spares the look at the database where it would find what the last one did; secrets are kept as keyed hashes.

    What was revoked, by whatever process, is news at once: it was written. With a database that cannot say at once
    whether anything was, nobody is known.
    """

    def __init__(self, database: Database, key: bytes) -> None:
        self._database, self._key = database, key
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._lock = threading.Lock()

    def changes(self) -> int | None:
        """What `keep` wants, from before the look."""
        return self._database.changes()

    def find(self, secret: str, changes: int | None) -> Caller | None:
        """Whose `secret` it is, if that is known and nothing was written up to `changes`."""
        with self._lock:
            known = self._known.get(digest(secret, self._key))
        if known is None or changes != known.changes or time.monotonic() - known.since > _FOR_S:
            return None
        ends = known.caller.expires_at
        # The clock of a database that is a file is this machine's.
        return known.caller if ends is None or time.time() < ends else None

    def keep(self, secret: str, caller: Caller, changes: int | None) -> None:
        """Remember whose it was when nothing had been written after `changes`."""
        if changes is None or caller.use_is_news:
            return
        shown = digest(secret, self._key)
        with self._lock:
            self._known.pop(shown, None)
            self._known[shown] = _Known(caller, changes, time.monotonic())
            if len(self._known) > _MOST:
                self._known.popitem(last=False)

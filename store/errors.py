"""What the store refuses. Each message is a full sentence.

StoreError
├── NotFound              no object with that id
├── NotYours              the object is another owner's
├── QuotaExceeded         its owner would have more than is allowed
├── IdempotencyConflict   the key was used before with another request
├── RequestUnfit          a request does not fit its data or the checkpoints it names
├── Refused               what is asked of an object does not go with how it stands
├── LeaseLost             another attempt, or a cancel, has taken the job over
├── BackupRefused         no backup can be made, or restored, here
└── ArchiveUnusable       an archive is damaged, or no backup's
"""

from collections.abc import Sequence

from gauntlet.checks.faults import Fault


class StoreError(Exception):
    """Root of the store's own errors."""


class NotFound(StoreError):
    """No object of that kind has that id."""

    def __init__(self, kind: str, identifier: str) -> None:
        super().__init__(f"There is no {kind} with the id {identifier[:60]!r}.")


class NotYours(StoreError):
    """The object is another owner's, and the caller no admin."""

    def __init__(self, kind: str, identifier: str, owner: str) -> None:
        super().__init__(f"The {kind} {identifier} is {owner}'s. Only {owner} or an admin may change it.")


class QuotaExceeded(StoreError):
    """The owner would have more than is allowed: until later, if `retry_after_s` says so, or until some is deleted."""

    def __init__(self, message: str, *, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class IdempotencyConflict(StoreError):
    """The Idempotency-Key belongs to a different request."""


class RequestUnfit(StoreError):
    """A request does not fit what is there: its data, or the checkpoints it names. `faults` are all that was found."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__(" ".join(fault.message for fault in faults))
        self.faults = tuple(faults)


class Refused(StoreError):
    """What is asked of an object does not go with how it stands."""


class LeaseLost(StoreError):
    """The job is no longer this attempt's; nothing of the refused write took place."""


class BackupRefused(StoreError):
    """A backup cannot be made of what is here, or not be restored into it."""


class ArchiveUnusable(StoreError):
    """An archive is damaged, cut short, of a later version, or no backup's at all."""

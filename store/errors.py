"""What the store refuses. Each message is a full sentence.

StoreError
├── NotFound              no object with that id
├── IdempotencyConflict   the key was used before with another request
├── CheckpointUnfit       a request names a checkpoint that is not there or does not fit
└── LeaseLost             another attempt, or a cancel, has taken the job over
"""


class StoreError(Exception):
    """Root of the store's own errors."""


class NotFound(StoreError):
    """No object of that kind has that id."""

    def __init__(self, kind: str, identifier: str) -> None:
        super().__init__(f"There is no {kind} with the id {identifier[:60]!r}.")


class IdempotencyConflict(StoreError):
    """The Idempotency-Key belongs to a different request."""


class CheckpointUnfit(StoreError):
    """A checkpoint that a request names is not there, or is of another kind of model than is needed.

    `pointer` is the JSON pointer of the field that is at fault.
    """

    def __init__(self, message: str, pointer: str) -> None:
        super().__init__(message)
        self.pointer = pointer


class LeaseLost(StoreError):
    """The job is no longer this attempt's; nothing of the refused write took place."""

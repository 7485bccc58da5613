"""The places where a process may be ended (`store.failpoints`), by what it is at."""

from collections.abc import Iterable

# Of a run's own process, in the order in which an attempt comes to them.
TRAINING = (
    "run_started",
    "batch_trained",
    "file_begun",
    "partial_written",
    "file_renamed",
    "state_written",
    "state_recorded",
    "files_written",
    "epoch_recording",
    "epoch_recorded",
    "stopping",
    "waking",
)
# Not three in a row before the first batch is recorded: the third crash without one fails an evaluation.
EVALUATION = (
    "batch_attacked",
    "batch_recording",
    "batch_recorded",
    "batches_taken",
    "outcome_recording",
    "outcome_recorded",
)
# Of a process that helps with another's evaluation, in its order.
HELPING = ("help_begun", "batches_taken", "help_attacked", "batch_recording", "help_recorded")
# Of the worker itself, or of the service: "waking" is there too.
CLAIM = ("claimed",)
REQUESTS = ("submitting", "deleting", "archive_kept", "settling")
UNPACKING = ("content_published", "unpacking_recorded")
SWEEPING = ("folder_deleted",)


def all_places() -> Iterable[str]:
    """Each; what is of two kinds of process twice."""
    return (*TRAINING, *EVALUATION, *HELPING, *CLAIM, *REQUESTS, *UNPACKING, *SWEEPING)

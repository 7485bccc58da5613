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
EVALUATION = ("batch_attacked", "batch_recording", "batch_recorded", "outcome_recording", "outcome_recorded")
# Of the worker itself, or of the service: "waking" is there too.
CLAIM = ("claimed",)
REQUESTS = ("submitting", "deleting", "archive_kept", "settling")
UNPACKING = ("content_published", "unpacking_recorded")
SWEEPING = ("folder_deleted",)


def all_places() -> Iterable[str]:
    """Each once."""
    return (*TRAINING, *EVALUATION, *CLAIM, *REQUESTS, *UNPACKING, *SWEEPING)

"""Whether the weights of checkpoints are where they were stored, asked before anything is begun with them.

A bucket may take seconds to answer, so it is asked within no transaction: that would hold up all that write.
"""

from collections.abc import Collection, Iterable, Sequence
from functools import partial
from pathlib import Path

from gauntlet.resources import ProblemError
from service.errors import ServiceError
from service.storage_reads import LOOKS
from store.database import Database
from store.models import Checkpoint
from store.storage import Storage
from store.subjects import checkpoints


def find_missing(database: Database, storage: Storage, named: Iterable[tuple[str, str]]) -> Sequence[tuple[str, str]]:
    """Which of the checkpoints, (id, pointer), that a request names have no file any more.

    A storage that this process does not see is not judged; the worker looks again. Nor is a checkpoint that there is
    not: that is for whoever makes something with it to say.
    """
    if not (asked := list(dict.fromkeys(named))):
        return []
    with database.reading() as session:
        paths = checkpoints.paths_of(session, [identifier for identifier, _ in asked])
    try:
        there = LOOKS(partial(_held, storage, paths.values()))
    except OSError:
        return []
    gone = {identifier for identifier, path in paths.items() if path not in there}
    return [(identifier, pointer) for identifier, pointer in asked if identifier in gone]


def _held(storage: Storage, paths: Iterable[str]) -> Collection[str]:
    storage.require()
    return {path for path in paths if storage.holds(path)}


def require_weights(database: Database, storage: Storage, named: Iterable[tuple[str, str]]) -> None:
    """Look for the weights of each checkpoint, (id, pointer), that a request names.

    Raises:
        ServiceError: 409, the file of one or more is gone.
    """
    refuse_missing(find_missing(database, storage, named))


def refuse_missing(gone: Sequence[tuple[str, str]]) -> None:
    """Refuse the request where any was found to be missing.

    Raises:
        ServiceError: 409.
    """
    if gone:
        raise _weights_missing(*gone)


def weights_of(checkpoint: Checkpoint, storage: Storage, pointer: str) -> Path:
    """A file of this machine with the checkpoint's weights, which the request names at `pointer`.

    Raises:
        ServiceError: 409, they are gone.
        OSError: the storage cannot be read.
    """
    try:
        return storage.fetch(checkpoint.path, checkpoint.sha256)
    except FileNotFoundError:
        raise _weights_missing((checkpoint.id, pointer)) from None


def _weights_missing(*gone: tuple[str, str]) -> ServiceError:
    """The refusal of what needs weights that are gone; it tells no path of the server."""
    told = "The weights of {} are no longer in the storage. Bring their file back, or choose another checkpoint."
    errors = [ProblemError(pointer=pointer, message=told.format(identifier)) for identifier, pointer in gone]
    return ServiceError(409, "weights-missing", " ".join(dict.fromkeys(error.message for error in errors)), errors)

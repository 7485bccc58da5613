"""Whether the weights of checkpoints are where they were stored, asked before anything is begun with them."""

from collections.abc import Iterable
from pathlib import Path

from sqlalchemy.orm import Session

from gauntlet.resources import ProblemError
from service.errors import ServiceError
from store.models import Checkpoint
from store.storage import Storage
from store.subjects import checkpoints


def require_weights(session: Session, storage: Storage, named: Iterable[tuple[str, str]]) -> None:
    """Look for the weights of each checkpoint, (id, pointer), that a request names.

    A storage that this process does not see is not judged; the worker looks again.

    Raises:
        NotFound: there is no such checkpoint.
        ServiceError: 409, the file of one or more is gone.
    """
    try:
        storage.require()
        found = [(checkpoints.get(session, identifier), pointer) for identifier, pointer in dict.fromkeys(named)]
        gone = [(row, pointer) for row, pointer in found if not storage.holds(row.path)]
    except OSError:
        return
    if gone:
        raise weights_missing(*gone)


def weights_of(checkpoint: Checkpoint, storage: Storage, pointer: str) -> Path:
    """A file of this machine with the checkpoint's weights, which the request names at `pointer`.

    Raises:
        ServiceError: 409, they are gone.
        OSError: the storage cannot be read.
    """
    try:
        return storage.fetch(checkpoint.path, checkpoint.sha256)
    except FileNotFoundError:
        raise weights_missing((checkpoint, pointer)) from None


def weights_missing(*gone: tuple[Checkpoint, str]) -> ServiceError:
    """The refusal of what needs weights that are gone; it tells no path of the server."""
    told = "The weights of {} are no longer in the storage. Bring their file back, or choose another checkpoint."
    errors = [ProblemError(pointer=pointer, message=told.format(row.id)) for row, pointer in gone]
    return ServiceError(409, "weights-missing", " ".join(dict.fromkeys(error.message for error in errors)), errors)

"""The files of jobs and imports in the storage: which there are, whose, and which no row needs."""

import contextlib
import hashlib
import logging
import threading
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from store import failpoints
from store.queue.jobs import Claim
from store.storage import STORAGE_FULL, Draft, FileDamaged, Storage, StorageAway, StorageRefused, StoredFile

logger = logging.getLogger(__name__)

_ATTEMPT = "attempt-"
# Lies beside what has no row yet.
UNRECORDED = "unrecorded"
# Long after the request that brought weights or an archive has been answered.
GRACE_S = 3_600.0


def fault(error: OSError, what: str = "job") -> str:
    """What kept the storage from being read or written, as a sentence for users: its own text holds a path of ours."""
    why = error.strerror or type(error).__name__
    if error.errno in STORAGE_FULL:
        return f"The storage takes no more: {why}. The {what} goes on when there is room."
    if isinstance(error, StorageAway):
        return f"The storage is away: {why}. The {what} goes on when it is back."
    if isinstance(error, StorageRefused):
        return f"The storage refuses the service: {why}. The {what} goes on when its operator has mended that."
    return f"A file of the {what} could not be read or written: {why}. Its worker's log says which."


def checked(storage: Storage, path: str, sha256: str) -> Path:
    """A file of this machine with what is stored at `path`, whose every byte was looked at.

    Raises:
        FileDamaged: it is not what was recorded.
        OSError: it cannot be read; a storage that is away must not be taken for a file that is lost.
    """
    file = storage.fetch(path, sha256)
    with file.open("rb") as opened:
        found = hashlib.file_digest(opened, "sha256").hexdigest()
    if found != sha256:
        raise FileDamaged(path)
    return file


def begin_import(storage: Storage, identifier: str) -> Draft:
    """A file for weights whose row is yet to be committed; whoever has written it calls `keep_import`.

    Raises:
        OSError: it cannot be made; nothing is left of it.
    """
    try:
        storage.mark(f"{identifier}/{UNRECORDED}")
        return storage.draft()
    except OSError:
        with contextlib.suppress(OSError):
            delete_unsettled(storage, identifier)
        raise


@contextmanager
def marked(storage: Storage, identifier: str) -> Iterator[None]:
    """Have it marked as having no row yet, the mark never old, while something large is sent: that takes hours.

    Raises:
        OSError: it cannot be marked.
    """
    sent = threading.Event()
    storage.mark(f"{identifier}/{UNRECORDED}")

    def renew() -> None:
        while not sent.wait(GRACE_S / 6):
            # The next time comes long before it is old.
            with contextlib.suppress(OSError):
                storage.mark(f"{identifier}/{UNRECORDED}")

    renewing = threading.Thread(target=renew, name="mark", daemon=True)
    renewing.start()
    try:
        yield
    finally:
        sent.set()
        # Or a mark would be made anew where it was deleted.
        renewing.join()


def keep_import(storage: Storage, identifier: str, draft: Draft) -> StoredFile:
    """Store what `begin_import` gave, durably; call `settle` when its row is committed.

    Raises:
        OSError: it cannot be stored.
    """
    path = f"{identifier}/weights.safetensors"
    with draft.path.open("rb") as file:
        sha256, size = hashlib.file_digest(file, "sha256").hexdigest(), file.tell()
    with marked(storage, identifier):
        storage.keep(draft, path)
    return StoredFile(path, sha256, size)


def settle(storage: Storage, identifier: str) -> None:
    """Note that the row of what was brought is there to stay."""
    failpoints.reach("settling")
    # Where it cannot be noted, `unsettled` names it, and its row is found.
    with contextlib.suppress(OSError):
        storage.delete(f"{identifier}/{UNRECORDED}")


def unsettled(storage: Storage, prefix: str, older_than_s: float) -> list[str]:
    """The ids with that prefix whose files were begun so long ago, and whose rows were never noted to be there."""
    return [_owner(path) for path in storage.find_old(f"{prefix}_*/{UNRECORDED}", older_than_s)]


def delete_unsettled(storage: Storage, identifier: str) -> None:
    """Delete what was brought and came to nothing, its mark last."""
    for path in sorted(storage.find(f"{identifier}/*"), key=lambda path: path.endswith(f"/{UNRECORDED}")):
        storage.delete(path)
    storage.delete_folder(identifier)


def attempt_folder(held: Claim) -> str:
    """The folder that only this attempt writes to, so that one revived after its lease cannot disturb the next."""
    return f"{held.id}/{_ATTEMPT}{held.token}"


def sweep(storage: Storage, held: Claim, recorded: Collection[str]) -> None:
    """Delete files of this and earlier attempts that no row knows: partial writes, and files of aborted transactions.

    Later attempts' folders are left alone: this one may have been overtaken without knowing it.
    """
    found = storage.find(f"{held.id}/{_ATTEMPT}*/*")
    _delete(storage, (path for path in found if _attempt(path) <= held.token), recorded)


def sweep_ended(storage: Storage, prefix: str, ended: Collection[str], recorded: Collection[str]) -> None:
    """Delete files of the attempts of jobs that ended, of those with that prefix, that no row knows."""
    found = storage.find(f"{prefix}_*/{_ATTEMPT}*/*")
    _delete(storage, (path for path in found if _owner(path) in ended), recorded)


def jobs_with_files(storage: Storage, prefix: str) -> list[str]:
    """The ids with that prefix, of runs or evaluations, of those that ever stored a file."""
    return storage.find(f"{prefix}_*")


def _delete(storage: Storage, paths: Iterable[str], recorded: Collection[str]) -> None:
    for path in paths:
        if path not in recorded:
            try:
                storage.delete(path)
            except StorageRefused as error:
                # One that may not be deleted must not keep the others.
                logger.warning("%s, which no row names, cannot be deleted: %s", path, error)


def _owner(path: str) -> str:
    return path.partition("/")[0]


def _attempt(path: str) -> int:
    return int(path.split("/")[1].removeprefix(_ATTEMPT))

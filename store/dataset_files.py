"""The files of uploaded data sets, in the same storage: received as they come, published as a whole.

```
dset_…/archive             what was received, until it is unpacked; `unrecorded` beside it until there is a row
dset_…/attempt-N/          what a worker makes of it
dset_…/content/            what one has made: images/<split>/<class>/…, thumbnails/<number>.png
```
"""

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

from store import failpoints
from store.files import UNRECORDED, marked
from store.storage import Draft, Storage

_ARCHIVE, _ATTEMPT, _CONTENT = "archive", "attempt-", "content"


class Incoming:
    """An archive that is being received: a file to write to, and gone when it is closed unless it was kept."""

    def __init__(self, storage: Storage) -> None:
        self._draft: Draft = storage.draft()
        self._sha256 = hashlib.sha256()
        self.bytes = 0

    @property
    def sha256(self) -> str:
        """Of what has come so far."""
        return self._sha256.hexdigest()

    def write(self, piece: bytes) -> int:
        self._sha256.update(piece)
        self.bytes += len(piece)
        return self._draft.write(piece)

    def seek(self, place: int) -> int:
        """What a form does at a file's end."""
        return self._draft.seek(place)

    def close(self) -> None:
        self._draft.close()

    def sync(self) -> None:
        """Have it on the disk, which takes seconds for a large one.

        Raises:
            OSError: there is no room.
        """
        self._draft.sync()

    def keep(self, storage: Storage, identifier: str) -> None:
        """Make it the archive of that data set, whose row is yet to be committed; call `files.settle` then.

        Raises:
            OSError: there is no room; nothing is left of it.
        """
        try:
            with marked(storage, identifier):
                storage.keep(self._draft, f"{identifier}/{_ARCHIVE}")
            failpoints.reach("archive_kept")
        except OSError:
            withdraw(storage, identifier)
            raise


def archive(storage: Storage, identifier: str, sha256: str) -> Path:
    """A file of this machine with the archive, as long as it is to be unpacked.

    Raises:
        OSError: it cannot be read.
    """
    return storage.fetch(f"{identifier}/{_ARCHIVE}", sha256)


def workplace(storage: Storage, identifier: str, attempt: int) -> Path:
    """The folder that only this attempt writes to."""
    return storage.workplace(_attempt_of(identifier, attempt))


def prepare(storage: Storage, identifier: str, attempt: int) -> Callable[[], None]:
    """Get what an attempt has made ready; what is returned makes it the data set's content, at once.

    Whoever calls that holds the row. What an earlier attempt published and could not record is replaced.

    Raises:
        OSError: it cannot be stored.
    """
    return storage.prepare_folder(_attempt_of(identifier, attempt), f"{identifier}/{_CONTENT}")


def discard_attempt(storage: Storage, identifier: str, attempt: int) -> None:
    """Delete what an attempt left on this machine, and the data set's folder if it was deleted meanwhile."""
    storage.leave(_attempt_of(identifier, attempt))


def fetch(storage: Storage, identifier: str) -> Path:
    """A folder of this machine below which the data set's content lies, if it was published.

    Raises:
        OSError: the storage does not answer, or the machine has no room.
    """
    return storage.fetch_folder(f"{identifier}/{_CONTENT}")


def thumbnail(storage: Storage, identifier: str, number: int) -> bytes:
    """A small picture, as a PNG.

    Raises:
        FileNotFoundError: there is none of that number.
        OSError: it cannot be read.
    """
    return storage.read(f"{identifier}/{_CONTENT}/thumbnails/{number}.png")


def tidy(storage: Storage, identifier: str) -> None:
    """Delete what only unpacking needed: the archive, and what attempts left."""
    with contextlib.suppress(OSError):
        storage.tidy_folder(f"{identifier}/{_CONTENT}")
    for path in storage.find(f"{identifier}/*"):
        if not path.endswith(f"/{_CONTENT}"):
            # What is in use, or another's to delete, is looked for again by the sweeper.
            with contextlib.suppress(OSError):
                _delete(storage, path)


def delete(storage: Storage, identifier: str) -> None:
    """Delete all files of a data set: last its archive, by which `begun` names it, and the mark of one without a row.

    Raises:
        OSError: they cannot be deleted; some of them may be.
    """
    last = (f"{identifier}/{_ARCHIVE}", f"{identifier}/{UNRECORDED}")
    found = storage.find(f"{identifier}/*")
    for path in (*(path for path in found if path not in last), *(path for path in last if path in found)):
        _delete(storage, path)
    storage.delete_folder(identifier)


def withdraw(storage: Storage, identifier: str) -> None:
    """Delete what was kept for a row that is not made; what cannot be deleted now the sweeper finds by its mark."""
    with contextlib.suppress(OSError):
        delete(storage, identifier)


def begun(storage: Storage) -> Iterator[str]:
    """The ids of data sets with files beside their content, or with more than one content."""
    found = (path.split("/") for path in storage.find("dset_*/*"))
    beside = dict.fromkeys(identifier for identifier, name in found if name != _CONTENT)
    yield from beside | dict.fromkeys(path.partition("/")[0] for path in storage.sent_twice(f"dset_*/{_CONTENT}"))


def _attempt_of(identifier: str, attempt: int) -> str:
    return f"{identifier}/{_ATTEMPT}{attempt}"


def _delete(storage: Storage, path: str) -> None:
    if _is_folder(path):
        storage.delete_folder(path)
    else:
        storage.delete(path)


def _is_folder(path: str) -> bool:
    name = path.rpartition("/")[2]
    return name == _CONTENT or name.startswith(_ATTEMPT)

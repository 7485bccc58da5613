"""The files of uploaded data sets, in the same storage: received as they come, published as a whole.

```
incoming/…                 what is being received
dset_…/archive             what was, until it is unpacked; `unrecorded` beside it until there is a row
dset_…/attempt-N/          what a worker makes of it
dset_…/content/            what one has made: images/<split>/<class>/…, thumbnails/<number>.png
```
"""

import contextlib
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from store import failpoints, files
from store.files import UNRECORDED, sync_folder

_INCOMING, _ARCHIVE, _ATTEMPT, _CONTENT = "incoming", "archive", "attempt-", "content"


class Incoming:
    """An archive that is being received, on the storage's own disk: what is kept of it is renamed, never copied.

    It is a file to write to, and gone when it is closed unless it was kept.
    """

    def __init__(self, storage: Path) -> None:
        folder = storage / _INCOMING
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / secrets.token_hex(16)
        self._file = self._path.open("xb")
        self._sha256 = hashlib.sha256()
        self.bytes = 0

    @property
    def sha256(self) -> str:
        """Of what has come so far."""
        return self._sha256.hexdigest()

    def write(self, piece: bytes) -> int:
        self._sha256.update(piece)
        self.bytes += len(piece)
        return self._file.write(piece)

    def seek(self, place: int) -> int:
        """What a form does at a file's end."""
        return self._file.seek(place)

    def close(self) -> None:
        self._file.close()
        self._path.unlink(missing_ok=True)

    def sync(self) -> None:
        """Have it on the disk, which takes seconds for a large one.

        Raises:
            OSError: there is no room.
        """
        self._file.flush()
        os.fsync(self._file.fileno())

    def keep(self, storage: Path, identifier: str) -> None:
        """Make it the archive of that data set, whose row is yet to be committed; call `files.settle_import` then.

        Raises:
            OSError: there is no room; nothing is left of it.
        """
        folder = storage / identifier
        folder.mkdir()
        try:
            (folder / UNRECORDED).touch()
            self._path.rename(folder / _ARCHIVE)
            failpoints.reach("archive_kept")
            sync_folder(folder)
        except OSError:
            delete(storage, identifier)
            raise


def archive(storage: Path, identifier: str) -> Path:
    """Where the archive lies as long as it is to be unpacked."""
    return storage / identifier / _ARCHIVE


def attempt_folder(storage: Path, identifier: str, attempt: int) -> Path:
    """The folder that only this attempt writes to."""
    return storage / identifier / f"{_ATTEMPT}{attempt}"


def publish(storage: Path, identifier: str, attempt: int) -> None:
    """Make what an attempt has made the data set's content.

    Its caller holds the row. What an earlier attempt published and could not record is replaced.

    Raises:
        OSError: it cannot be.
    """
    content = storage / identifier / _CONTENT
    if content.exists():
        shutil.rmtree(content)
    attempt_folder(storage, identifier, attempt).rename(content)
    failpoints.reach("content_published")
    sync_folder(content.parent)


def discard_attempt(storage: Path, identifier: str, attempt: int) -> None:
    """Delete what an attempt left, and the data set's folder if it was deleted meanwhile."""
    _delete(attempt_folder(storage, identifier, attempt))
    with contextlib.suppress(OSError):
        (storage / identifier).rmdir()


def thumbnail(storage: Path, identifier: str, number: int) -> Path:
    """Where a small picture lies."""
    return storage / identifier / _CONTENT / "thumbnails" / f"{number}.png"


def tidy(storage: Path, identifier: str) -> None:
    """Delete what only unpacking needed: the archive, and what attempts left."""
    for left in (storage / identifier).glob("*"):
        if left.name != _CONTENT:
            _delete(left)


def delete(storage: Path, identifier: str) -> None:
    """Delete all files of a data set, the mark of one without a row last."""
    folder = storage / identifier
    for left in sorted(folder.glob("*"), key=lambda left: left.name == UNRECORDED):
        _delete(left)
    with contextlib.suppress(FileNotFoundError):
        folder.rmdir()


def begun(storage: Path) -> Iterator[str]:
    """The ids of data sets with files beside their content."""
    for folder in storage.glob("dset_*"):
        if any(left.name != _CONTENT for left in folder.iterdir()):
            yield folder.name


def delete_abandoned(storage: Path, older_than_s: float) -> None:
    """Delete what was being received when its receiver died: nothing has come for so long."""
    before = files.long_ago(storage, older_than_s)
    for path in (storage / _INCOMING).glob("*"):
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_mtime < before:
                path.unlink()


def _delete(left: Path) -> None:
    if left.is_dir():
        shutil.rmtree(left, ignore_errors=True)
    else:
        left.unlink(missing_ok=True)

"""A storage that is a folder: files are written aside, synced, renamed; a reader sees a whole file or none."""

import contextlib
import errno
import hashlib
import math
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from store import failpoints
from store.storage.values import Draft, Room, StorageRefused, StoredFile, refusals

_PARTIAL = ".partial"
_DRAFTS = "incoming"


@dataclass(frozen=True)
class FolderStorage:
    """Everything below `root`. Several hosts may mount it, whose clocks need not agree."""

    root: Path

    def __str__(self) -> str:
        return str(self.root)

    @refusals()
    def require(self) -> None:
        """See that it is there.

        Raises:
            OSError: it is away, which must not be taken for a file that is lost.
        """
        if not self.root.is_dir():
            raise FileNotFoundError(errno.ENOENT, "The storage is away", str(self.root))
        os.scandir(self.root).close()

    @refusals()
    def look(self) -> None:
        """See that it can be read and written, as far as that can be told without writing.

        Raises:
            OSError: it cannot; is it not there yet, it is the folder above that cannot.
        """
        there = next(folder for folder in (self.root, *self.root.parents) if folder.exists())
        if not os.access(there, os.R_OK | os.W_OK | os.X_OK):
            read_only = os.statvfs(there).f_flag & os.ST_RDONLY
            refused = errno.EROFS if read_only else errno.EACCES
            raise StorageRefused(refused, os.strerror(refused), str(there))

    @refusals()
    def write(self, path: str, content: bytes) -> StoredFile:
        """Store `content` durably at `path`, replacing what an earlier try left there.

        Raises:
            OSError: it cannot be written; nothing is left of it.
        """
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        aside = target.with_name(target.name + _PARTIAL)
        try:
            with aside.open("wb") as file:
                failpoints.reach("file_begun")
                file.write(content)
                _settle(file, aside, target)
        except BaseException:
            with contextlib.suppress(OSError):
                aside.unlink()
            raise
        return StoredFile(path, hashlib.sha256(content).hexdigest(), len(content))

    @refusals()
    def mark(self, path: str) -> None:
        """Have an empty file there.

        Raises:
            OSError: it cannot be made.
        """
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()

    @refusals()
    def draft(self) -> Draft:
        """A file on the storage's own disk: what is kept of it is renamed, never copied.

        Raises:
            OSError: it cannot be made.
        """
        return Draft(self.root / _DRAFTS)

    @refusals()
    def keep(self, draft: Draft, path: str) -> None:
        """Store what was written, durably, at `path`.

        Raises:
            OSError: it cannot be stored.
        """
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        draft.sync()
        failpoints.reach("partial_written")
        draft.path.rename(target)
        failpoints.reach("file_renamed")
        sync_folder(target.parent)

    @refusals()
    def fetch(self, path: str, sha256: str) -> Path:  # noqa: ARG002  # a bucket's copies go by it
        """A file of this machine with what is stored at `path`: here the file itself, whatever it has become.

        Raises:
            FileNotFoundError: there is none.
            OSError: the storage cannot be read.
        """
        file = self.root / path
        if not file.is_file():
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", str(file))
        # Whoever opens it is no part of the storage any more: that it may not be read is told here.
        file.open("rb").close()
        return file

    @refusals()
    def read(self, path: str) -> bytes:
        """What is stored at `path`.

        Raises:
            FileNotFoundError: there is nothing.
            OSError: the storage cannot be read.
        """
        return (self.root / path).read_bytes()

    @refusals()
    def holds(self, path: str) -> bool:
        """Whether a file is there."""
        return (self.root / path).is_file()

    @refusals()
    def find(self, pattern: str) -> list[str]:
        """The paths of files and folders that look so, such as `run_*/attempt-*/*`, in their order."""
        return sorted(str(found.relative_to(self.root)) for found in self.root.glob(pattern))

    @refusals()
    def find_old(self, pattern: str, older_than_s: float) -> list[str]:
        """Those of them that nobody has written to for so long, by the storage's own clock."""
        before = self._long_ago(older_than_s)
        old = []
        for path in self.find(pattern):
            # Another worker may be deleting it.
            with contextlib.suppress(FileNotFoundError):
                if (self.root / path).stat().st_mtime < before:
                    old.append(path)
        return old

    @refusals()
    def delete(self, path: str) -> None:
        """Delete the file at `path`, if there is one.

        Raises:
            OSError: it cannot be deleted.
        """
        (self.root / path).unlink(missing_ok=True)

    @refusals()
    def delete_folder(self, path: str) -> None:
        """Delete all that lies below `path`; nothing happens if there is nothing.

        Raises:
            OSError: it cannot be deleted; some of it may be.
        """
        # Another worker may be doing the same.
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self.root / path)

    @refusals()
    def forget_drafts(self, older_than_s: float) -> None:
        """Delete what was being received when its receiver died: nothing has come for so long."""
        for path in self.find_old(f"{_DRAFTS}/*", older_than_s):
            self.delete(path)

    def forget_here(self, older_than_s: float) -> None:
        """Delete nothing: what is begun lies in the storage itself, where `forget_drafts` looks."""

    def workplace(self, path: str) -> Path:
        """Where on this machine a folder may be made that is then published; here it is the storage itself."""
        return self.root / path

    def leave(self, path: str) -> None:
        """Delete what is in a workplace, and the folder above if that is empty now."""
        shutil.rmtree(self.root / path, ignore_errors=True)
        with contextlib.suppress(OSError):
            (self.root / path).parent.rmdir()

    @refusals()
    def prepare_folder(self, made: str, path: str) -> Callable[[], None]:
        """Get the folder made in that workplace ready to be published at `path`; what is returned does it, at once.

        What lies at `path` is replaced; whoever publishes sees to it that nobody else does.
        """

        @refusals()
        def publish() -> None:
            target = self.root / path
            if target.exists():
                shutil.rmtree(target)
            (self.root / made).rename(target)
            failpoints.reach("content_published")
            sync_folder(target.parent)

        return publish

    def tidy_folder(self, path: str) -> None:
        """Delete nothing: what is not published lies in its workplace."""

    def sent_twice(self, pattern: str) -> list[str]:  # noqa: ARG002  # a bucket looks for them
        """None: what is published here takes the place of what was."""
        return []

    @refusals()
    def fetch_folder(self, path: str) -> Path:
        """A folder of this machine below which `path` lies, if it was published.

        Raises:
            OSError: the storage cannot be read.
        """
        # As in `fetch`.
        with contextlib.suppress(FileNotFoundError):
            os.scandir(self.root / path).close()
        return self.root

    def room(self) -> Room | None:
        """How much there is, None where it cannot be told."""
        try:
            # It is made with the first file in it.
            total, _, free = shutil.disk_usage(self.root if self.root.exists() else self.root.parent)
        except OSError:
            return None
        return Room(total, free)

    def _long_ago(self, seconds: float) -> float:
        """The moment so long before now, by the clock that the storage's files are dated by.

        Of a storage that hosts share that is not this host's, which may be hours ahead and take all files for old.
        Where it cannot be asked, as the storage takes no more, no file is older.
        """
        try:
            with tempfile.TemporaryFile(dir=self.root) as file:
                return os.fstat(file.fileno()).st_mtime - seconds
        except OSError:
            return -math.inf


def sync_folder(folder: Path) -> None:
    """Have a folder's own entries on the disk: which files it holds, and under which names."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _settle(file: BinaryIO, aside: Path, target: Path) -> None:
    """Put what was written aside in its place."""
    file.flush()
    os.fsync(file.fileno())
    failpoints.reach("partial_written")
    aside.rename(target)
    failpoints.reach("file_renamed")
    sync_folder(target.parent)

"""Copies of what a bucket holds, on this machine: whole or not there, each under a key, and bounded.

```
<key>/content              the copy, a file or a folder
<key>/bytes                how large it is; dated when somebody was told of the copy last
<key>.partial/             what is being brought
<key>.<token>.partial/     what is being deleted
<key>.lock                 held by who brings, deletes or tells of that copy
```
"""

import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex

from store.storage.values import refusals

_CONTENT, _BYTES = "content", "bytes"
_PARTIAL, _LOCK = ".partial", ".lock"
_AT_ONCE = fcntl.LOCK_EX | fcntl.LOCK_NB
# Who was told of a copy opens it, and reads a data set within this time.
_STAYS_S = 3_600.0


@dataclass(frozen=True)
class FetchedCache:
    """About `most_bytes` below `folder`; what was used last stays, and all that was used within the last hour."""

    folder: Path
    most_bytes: int

    @refusals()
    def get(self, key: str, size: Callable[[], int], bring: Callable[[Path], None]) -> Path:
        """The copy under that key: a file or a folder, which `bring` makes where there is none, of so many bytes.

        Raises:
            OSError: there is no room; or `bring` raises it, and then nothing is kept.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        entry, lock = self.folder / key, self._lock(key)
        # Of processes that want the same one brings it, and nobody deletes what another is being told of.
        with _locked(lock):
            with suppress(FileNotFoundError):
                os.utime(entry / _BYTES)
                return entry / _CONTENT
            partial = self.folder / f"{key}{_PARTIAL}"
            shutil.rmtree(partial, ignore_errors=True)
            try:
                needed = size()
                self._make_room(needed)
                partial.mkdir()
                bring(partial / _CONTENT)
                _settle(partial, needed)
                partial.rename(entry)
            except BaseException:
                shutil.rmtree(partial, ignore_errors=True)
                lock.unlink(missing_ok=True)
                raise
        return entry / _CONTENT

    @refusals()
    def drop(self, key: str, is_damaged: Callable[[Path], bool]) -> None:
        """Forget a copy that still is damaged: another process may have brought it anew."""
        self._delete(key, lambda entry: is_damaged(entry / _CONTENT), fcntl.LOCK_EX)

    @refusals()
    def sweep(self) -> None:
        """Delete what is beyond the bound, and what processes that died left half brought or half deleted."""
        self._make_room(0)
        for partial in self.folder.glob(f"*{_PARTIAL}"):
            with suppress(BlockingIOError), _locked(self._lock(partial.name.partition(".")[0]), _AT_ONCE):
                shutil.rmtree(partial, ignore_errors=True)
        for lock in self.folder.glob(f"*{_LOCK}"):
            entry = lock.with_suffix("")
            if not entry.exists():
                with suppress(BlockingIOError), _locked(lock, _AT_ONCE):
                    if not entry.exists():
                        lock.unlink(missing_ok=True)

    def _make_room(self, size: int) -> None:
        """Delete what was used longest ago, until so much fits in beside the rest."""
        used: list[tuple[float, int, Path]] = []
        for told in self.folder.glob(f"*/{_BYTES}"):
            if told.parent.suffix != _PARTIAL:
                with suppress(FileNotFoundError):
                    used.append((told.stat().st_mtime, int(told.read_text()), told.parent))
        total = size + sum(held for _, held, _ in used)
        for last, held, entry in sorted(used):
            if total <= self.most_bytes or time.time() - last < _STAYS_S:
                return

            def is_unused(entry: Path, last: float = last) -> bool:
                return (entry / _BYTES).stat().st_mtime == last

            # Who holds its lock is telling somebody of it.
            with suppress(BlockingIOError):
                if self._delete(entry.name, is_unused, _AT_ONCE):
                    total -= held

    def _delete(self, key: str, is_due: Callable[[Path], bool], how: int) -> bool:
        """Delete a copy if it is due once nobody else has its lock, and tell whether it is gone.

        Its name goes first, while it is whole.

        Raises:
            BlockingIOError: another has the lock, and `how` is not to wait for it.
        """
        entry, lock = self.folder / key, self._lock(key)
        aside = self.folder / f"{key}.{token_hex(8)}{_PARTIAL}"
        with _locked(lock, how):
            with suppress(FileNotFoundError):
                if not is_due(entry):
                    return False
                entry.rename(aside)
            lock.unlink(missing_ok=True)
        shutil.rmtree(aside, ignore_errors=True)
        return True

    def _lock(self, key: str) -> Path:
        return self.folder / f"{key}{_LOCK}"


def _settle(partial: Path, size: int) -> None:
    """Have on the disk what was brought, before it has the name of a copy that is whole."""
    with (partial / _BYTES).open("w") as file:
        file.write(str(size))
        file.flush()
        os.fsync(file.fileno())
    if (partial / _CONTENT).is_dir():
        # All that the disk is owed: one by one tens of thousands of pictures would take minutes. A file's digest is
        # looked at each time.
        os.sync()


@contextmanager
def _locked(path: Path, how: int = fcntl.LOCK_EX) -> Iterator[None]:
    """Alone with what that file stands for; the system gives the lock back, however a process ends.

    Raises:
        BlockingIOError: another has it, and `how` is not to wait.
    """
    while True:
        with path.open("w") as file:
            fcntl.flock(file, how)
            # Who had it may have deleted the file, and others have made one anew.
            if _is_at(file.fileno(), path):
                yield
                return


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False

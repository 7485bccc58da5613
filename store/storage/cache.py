"""Copies of what a bucket holds, on this machine: whole, known by their digests, and bounded."""

import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_CONTENT, _BYTES = "content", "bytes"
_PARTIAL = ".partial"
# Who was told of a copy opens it, and reads a data set within this time.
_STAYS_S = 3_600.0


@dataclass(frozen=True)
class FetchedCache:
    """About `most_bytes` below `folder`; what was used last stays, and all that was used within the last hour."""

    folder: Path
    most_bytes: int

    def get(self, sha256: str, size: Callable[[], int], bring: Callable[[Path], None]) -> Path:
        """The copy under that digest: a file or a folder, which `bring` makes where there is none, of so many bytes.

        Raises:
            OSError: there is no room; or `bring` raises it, and then nothing is kept.
        """
        if found := self._found(sha256):
            return found
        self.folder.mkdir(parents=True, exist_ok=True)
        # Of processes that want the same one brings it; the system gives the lock back, however a process ends.
        with _locked(self.folder / f"{sha256}.lock"):
            if found := self._found(sha256):
                return found
            needed = size()
            self._make_room(needed)
            partial = self.folder / f"{sha256}{_PARTIAL}"
            shutil.rmtree(partial, ignore_errors=True)
            try:
                partial.mkdir()
                bring(partial / _CONTENT)
                (partial / _BYTES).write_text(str(needed))
                partial.rename(self.folder / sha256)
            except BaseException:
                shutil.rmtree(partial, ignore_errors=True)
                raise
        return self.folder / sha256 / _CONTENT

    def drop(self, sha256: str) -> None:
        """Forget a copy that is damaged."""
        shutil.rmtree(self.folder / sha256, ignore_errors=True)

    def sweep(self) -> None:
        """Delete what is beyond the bound, and what a process that died left half done."""
        self._make_room(0)
        for partial in self.folder.glob(f"*{_PARTIAL}"):
            with suppress(FileNotFoundError):
                if time.time() - max(path.stat().st_mtime for path in (partial, *partial.rglob("*"))) > _STAYS_S:
                    shutil.rmtree(partial, ignore_errors=True)

    def _found(self, sha256: str) -> Path | None:
        entry = self.folder / sha256
        try:
            # So that it is known when it was used last.
            os.utime(entry / _BYTES)
        except FileNotFoundError:
            return None
        return entry / _CONTENT

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
            shutil.rmtree(entry, ignore_errors=True)
            total -= held


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield

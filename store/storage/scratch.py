"""What lies on this machine of a bucket before it is sent: files that are received, folders that are made."""

import contextlib
import fcntl
import math
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from store.storage.values import Draft, refusals

_INCOMING, _MAKING = "incoming", "making"


@dataclass(frozen=True)
class Scratch:
    """A folder of this machine for it, which other processes use too."""

    folder: Path

    @property
    def nothing(self) -> Path:
        """Where nothing ever is."""
        return self.folder / "nothing"

    @refusals()
    def draft(self) -> Draft:
        """A file that is to be sent, held for as long as it is open: sending it may take hours.

        Raises:
            OSError: it cannot be made.
        """
        draft = Draft(self.folder / _INCOMING)
        fcntl.flock(draft.fileno(), fcntl.LOCK_EX)
        return draft

    def workplace(self, path: str) -> Path:
        """Where a folder may be made that is to be sent."""
        return self.folder / _MAKING / path

    def leave(self, path: str) -> None:
        """Delete what is in a workplace, and the folder above if that is empty now."""
        shutil.rmtree(self.workplace(path), ignore_errors=True)
        with contextlib.suppress(OSError):
            self.workplace(path).parent.rmdir()

    @refusals()
    def forget(self, older_than_s: float) -> None:
        """Delete what was being received or made when who did it died: nothing of it was written to for so long.

        What somebody still sends is written to no more, and stays.
        """
        before = time.time() - older_than_s
        for path in (self.folder / _INCOMING).glob("*"):
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime < before and not _is_held(path):
                    path.unlink()
        for made in (self.folder / _MAKING).glob("*/*"):
            if _last_written(made) < before:
                self.leave(str(made.relative_to(self.folder / _MAKING)))


def _is_held(path: Path) -> bool:
    with path.open("rb") as file:
        try:
            # It is let go with the file.
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _last_written(folder: Path) -> float:
    """When anything in that folder was written to (seconds since 1970)."""
    try:
        return max(path.stat().st_mtime for path in (folder, *folder.rglob("*")))
    except FileNotFoundError:
        # Somebody is at work on it.
        return math.inf

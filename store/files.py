"""Checkpoint files: written aside, synced, renamed; a reader sees a whole file or none."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from store.jobs import Claim

_PARTIAL = ".partial"
_ATTEMPT = "attempt-"


@dataclass(frozen=True)
class StoredFile:
    """A file in the storage: `path` relative to its root."""

    path: str
    sha256: str
    bytes: int


def write(root: Path, path: str, content: bytes) -> StoredFile:
    """Store `content` durably at `path` below `root`, replacing what an earlier try left there."""
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(target.name + _PARTIAL)
    with aside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    aside.rename(target)
    _sync_folder(target.parent)
    return StoredFile(path, hashlib.sha256(content).hexdigest(), len(content))


def attempt_folder(held: Claim) -> str:
    """The folder that only this attempt writes to, so that one revived after its lease cannot disturb the next."""
    return f"{held.id}/{_ATTEMPT}{held.token}"


def sweep(root: Path, held: Claim, recorded: set[str]) -> None:
    """Delete files of this and earlier attempts that no row knows: partial writes, and files of aborted transactions.

    Later attempts' folders are left alone: this one may have been overtaken without knowing it.
    """
    for folder in (root / held.id).glob(f"{_ATTEMPT}*"):
        if int(folder.name.removeprefix(_ATTEMPT)) <= held.token:
            for file in folder.iterdir():
                if str(file.relative_to(root)) not in recorded:
                    file.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

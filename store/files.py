"""Files of checkpoints and pictures: written aside, synced, renamed; a reader sees a whole file or none."""

import contextlib
import errno
import hashlib
import math
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedRandom
from pathlib import Path
from typing import BinaryIO

from store import failpoints
from store.queue.jobs import Claim

# What an OSError says where there is no room, or none may be taken.
STORAGE_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)
_PARTIAL = ".partial"
_ATTEMPT = "attempt-"
# Lies beside what has no row yet.
UNRECORDED = "unrecorded"


def fault(error: OSError) -> str:
    """What kept the storage from being read or written, as a sentence for users: its own text holds a path of ours."""
    why = error.strerror or type(error).__name__
    if error.errno in STORAGE_FULL:
        return f"The storage takes no more: {why}. The job goes on when there is room."
    return f"A file of the job could not be read or written: {why}. Its worker's log says which."


@dataclass(frozen=True)
class StoredFile:
    """A file in the storage: `path` relative to its root."""

    path: str
    sha256: str
    bytes: int


def write(root: Path, path: str, content: bytes) -> StoredFile:
    """Store `content` durably at `path` below `root`, replacing what an earlier try left there.

    Raises:
        OSError: it cannot be written; nothing is left of it.
    """
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = _aside(target)
    try:
        with aside.open("wb") as file:
            failpoints.reach("file_begun")
            file.write(content)
            _settle(file, target)
    except BaseException:
        with contextlib.suppress(OSError):
            aside.unlink()
        raise
    return StoredFile(path, hashlib.sha256(content).hexdigest(), len(content))


def begin_import(root: Path, identifier: str) -> BufferedRandom:
    """A file for weights whose row is yet to be committed; whoever has written it calls `keep_import`.

    Raises:
        OSError: it cannot be made; nothing is left of it.
    """
    target = root / _imported(identifier)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        target.with_name(UNRECORDED).touch()
        return _aside(target).open("w+b")
    except OSError:
        delete_import(root, identifier)
        raise


def keep_import(root: Path, identifier: str, file: BufferedRandom) -> StoredFile:
    """Store what `begin_import` gave, durably; call `settle_import` when its row is committed.

    Raises:
        OSError: it cannot be stored.
    """
    path = _imported(identifier)
    _settle(file, root / path)
    file.seek(0)
    return StoredFile(path, hashlib.file_digest(file, "sha256").hexdigest(), os.fstat(file.fileno()).st_size)


def settle_import(root: Path, identifier: str) -> None:
    """Note that an import's row is there to stay."""
    failpoints.reach("settling")
    # Where it cannot be noted, `unsettled_imports` names it, and its row is found.
    with contextlib.suppress(OSError):
        (root / identifier / UNRECORDED).unlink()


def long_ago(root: Path, seconds: float) -> float:
    """The moment so long before now, by the clock that the storage's files are dated by.

    Of a storage that hosts share that is not this host's, which may be hours ahead and take all files for old. Where
    it cannot be asked, as the storage takes no more, no file is older.
    """
    try:
        with tempfile.TemporaryFile(dir=root) as file:
            return os.fstat(file.fileno()).st_mtime - seconds
    except OSError:
        return -math.inf


def unsettled_imports(root: Path, older_than_s: float) -> list[str]:
    """The imports that were begun so long ago and not settled, whether or not they have a row."""
    return unsettled(root, "ckpt", older_than_s)


def unsettled(root: Path, prefix: str, older_than_s: float) -> list[str]:
    """The ids with that prefix whose files were begun so long ago, and whose rows were never noted to be there."""
    before = long_ago(root, older_than_s)
    return [mark.parent.name for mark in root.glob(f"{prefix}_*/{UNRECORDED}") if mark.stat().st_mtime < before]


def delete_import(root: Path, identifier: str) -> None:
    """Delete what an import that came to nothing left, its mark last."""
    folder = root / identifier
    # Another worker may be doing the same.
    with contextlib.suppress(FileNotFoundError):
        for file in sorted(folder.iterdir(), key=lambda file: file.name == UNRECORDED):
            file.unlink(missing_ok=True)
        folder.rmdir()


def delete_folder(root: Path, name: str) -> None:
    """Delete the folder of a run, an evaluation or an import whose rows are gone; nothing happens if it is gone too.

    Raises:
        OSError: it cannot be deleted; some of it may be.
    """
    # Another worker may be doing the same.
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(root / name)


def attempt_folder(held: Claim) -> str:
    """The folder that only this attempt writes to, so that one revived after its lease cannot disturb the next."""
    return f"{held.id}/{_ATTEMPT}{held.token}"


def sweep(root: Path, held: Claim, recorded: set[str]) -> None:
    """Delete files of this and earlier attempts that no row knows: partial writes, and files of aborted transactions.

    Later attempts' folders are left alone: this one may have been overtaken without knowing it.
    """
    for folder in _attempt_folders(root, held.id):
        if int(folder.name.removeprefix(_ATTEMPT)) <= held.token:
            _delete_unrecorded(root, folder, recorded)


def sweep_ended(root: Path, job: str, recorded: set[str]) -> None:
    """Delete files of a job's attempts that no row knows. There will be no other attempt."""
    for folder in _attempt_folders(root, job):
        _delete_unrecorded(root, folder, recorded)


def jobs_with_files(root: Path, prefix: str) -> list[str]:
    """The ids with that prefix, of runs or evaluations, of those that ever stored a file."""
    return [folder.name for folder in root.glob(f"{prefix}_*")]


def _attempt_folders(root: Path, job: str) -> Iterator[Path]:
    return (root / job).glob(f"{_ATTEMPT}*")


def _delete_unrecorded(root: Path, folder: Path, recorded: set[str]) -> None:
    for file in folder.iterdir():
        if str(file.relative_to(root)) not in recorded:
            file.unlink(missing_ok=True)


def _imported(identifier: str) -> str:
    return f"{identifier}/weights.safetensors"


def _aside(target: Path) -> Path:
    return target.with_name(target.name + _PARTIAL)


def _settle(file: BinaryIO, target: Path) -> None:
    """Put what was written aside in its place."""
    file.flush()
    os.fsync(file.fileno())
    failpoints.reach("partial_written")
    _aside(target).rename(target)
    failpoints.reach("file_renamed")
    sync_folder(target.parent)


def sync_folder(folder: Path) -> None:
    """Have a folder's own entries on the disk: which files it holds, and under which names."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""The files that a look at the database names, kept from those who delete them meanwhile.

A job replaces its training state after every epoch and deletes the one before. So each file gets a second name, a hard
link, in a folder of its own, which takes no room and a moment; then it may be copied at leisure.
"""

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from store.storage import FolderStorage

_PINNED = "pinned-"


@contextmanager
def pins(storage: Path) -> Iterator[Path]:
    """A folder for second names, gone with the block.

    Raises:
        OSError: it cannot be made.
    """
    storage.mkdir(parents=True, exist_ok=True)
    folder = storage / f"{_PINNED}{secrets.token_hex(8)}"
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def pin(storage: Path, folder: Path, paths: Iterable[str]) -> list[str]:
    """Give each file below the storage a second name below `folder`; returns those that are not there."""
    missing = []
    for path in paths:
        kept = folder / path
        kept.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            # Of an earlier try; what is there now may be another.
            kept.unlink()
        try:
            _link(storage / path, kept)
        except FileNotFoundError:
            missing.append(path)
    return missing


def files_below(storage: Path, path: str) -> list[str]:
    """The files of a folder of the storage, in a fixed order."""
    return sorted(str(file.relative_to(storage)) for file in (storage / path).rglob("*") if file.is_file())


def forget_abandoned(storage: FolderStorage, older_than_s: float) -> None:
    """Delete what a backup that was killed left behind; one that is at work has touched its folder since."""
    for folder in storage.find_old(f"{_PINNED}*", older_than_s):
        storage.delete_folder(folder)


def _link(file: Path, kept: Path) -> None:
    try:
        os.link(file, kept)
    except FileNotFoundError:
        raise
    except OSError:
        # Not every file system knows hard links.
        shutil.copyfile(file, kept)

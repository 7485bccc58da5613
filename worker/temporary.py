"""The folder in which a worker's fork server listens: its own, which the next worker deletes where it was killed.

multiprocessing makes one for each process and deletes it at the process's end, to which who is killed does not come.
"""

import fcntl
import shutil
import tempfile
from contextlib import suppress
from multiprocessing import util
from pathlib import Path
from typing import IO, Final

from store.settings import socket_path_fits

_OURS: Final = "gauntlet-worker-"
_LOCK: Final = "lock"
# What multiprocessing puts into it.
_SOCKET: Final = "pymp-12345678/listener-12345678"


def take_folder() -> None:
    """Have it for this process, and delete those of workers that were killed; once, before any fork server.

    Where its path would be too long for a socket, multiprocessing's stays where it puts it.

    Raises:
        OSError: this machine has no folder for what is temporary.
    """
    root = Path(tempfile.gettempdir())
    for left in root.glob(f"{_OURS}*"):
        _delete_if_left(left)
    # Nobody takes it for left before it is locked.
    made = Path(tempfile.mkdtemp(prefix="gauntlet-starting-"))
    folder = root / f"{_OURS}{made.name.rpartition('-')[2]}"
    if not socket_path_fits(folder / _SOCKET):
        made.rmdir()
        return
    lock = (made / _LOCK).open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    made.rename(folder)
    # After multiprocessing's own, which is in it.
    util.Finalize(None, _leave, (folder, lock), exitpriority=-101)
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        util.get_temp_dir()
    finally:
        tempfile.tempdir = before


def _delete_if_left(folder: Path) -> None:
    # Another user's, or one that another worker deletes.
    with suppress(OSError), (folder / _LOCK).open("r+") as lock:
        # The kernel lets go of it however its worker ends.
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder)


def _leave(folder: Path, lock: IO[str]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    lock.close()

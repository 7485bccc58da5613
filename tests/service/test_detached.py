"""Work that hangs holds up neither who is cancelled nor the process's end."""

import asyncio
import subprocess
import sys
import threading

import pytest

from service.detached import detached

_HANGS = """
import asyncio
import threading
from pathlib import Path

from gauntlet.spec.kinds import Uploaded
from service import app, storage_reads
from service.errors import ServiceError
from service.settings import ServiceSettings
from store.storage import FolderStorage

hang = threading.Event()
storage_reads._WAITED_FOR_S = 0.1
ServiceSettings.root_of = lambda *_: hang.wait()
FolderStorage.forget_here = lambda *_: hang.wait()
storage_reads.dataset_files.thumbnail = lambda *_: hang.wait()


async def serve():
    tidying = asyncio.create_task(app._tidy(FolderStorage(Path())))
    reads = storage_reads.StorageReads(ServiceSettings(home=Path()))
    try:
        await reads.root_of(Uploaded(id="dset_a", image_size=12))
    except ServiceError as error:
        print(error.kind)
    others = [asyncio.create_task(reads.thumbnail("dset_a", 0)), asyncio.create_task(reads.bring(hang.wait))]
    while len(threads := sorted(each.name for each in threading.enumerate())) < 5:
        await asyncio.sleep(0.01)
    print(*threads, sep=", ")
    for task in (tidying, *others):
        task.cancel()


asyncio.run(serve())
print("ended")
"""


def test_a_storage_that_hangs_keeps_no_process_from_its_end() -> None:
    """Neither in what is tidied at the start nor in a data set, a small picture or a file that is brought."""
    told = subprocess.run([sys.executable, "-c", _HANGS], capture_output=True, text=True, check=True, timeout=120)
    threads = "MainThread, data set, file, small picture, tidying"
    assert told.stdout.splitlines() == ["data-set-coming", threads, "ended"]


def test_what_comes_of_it_is_told() -> None:
    """Its result, or what it raised."""

    def fail() -> None:
        raise OSError(28, "No space left on device")

    async def ask() -> int:
        with pytest.raises(OSError, match="No space"):
            await detached(fail, "failing")
        with pytest.raises(RuntimeError, match="StopIteration"):
            await detached(lambda: next(iter(())), "stopping")
        with pytest.raises(SystemExit):
            await detached(lambda: sys.exit(3), "leaving")
        return await detached(lambda: 7, "counting")

    assert asyncio.run(ask()) == 7


def test_what_comes_when_nobody_waits_any_more_is_dropped() -> None:
    """By who was cancelled, and by a loop that has ended."""
    go_on = threading.Event()

    async def ask() -> None:
        asking = asyncio.create_task(detached(lambda: go_on.wait(60), "late"))
        await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking

    asyncio.run(ask())
    (late,) = (thread for thread in threading.enumerate() if thread.name == "late")
    go_on.set()
    late.join(60)
    assert not late.is_alive()

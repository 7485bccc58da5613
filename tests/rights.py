"""What a process without root's rights is told by the system, also where tests are run by root."""

import ctypes
import os
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

T = TypeVar("T")

# Of capabilities(7): to read, write and look into what others own, or what its owner has closed.
_RIGHTS = (1, 2)
PR_CAPBSET_READ, _PR_CAPBSET_DROP = 23, 24
_VERSION_3 = 0x20080522


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Rights(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


@contextmanager
def of_mode(mode: int, *folders: Path) -> Iterator[None]:
    """Of that mode for the block, and then their owner's to use again, whatever the block came to."""
    with of_modes((folder, mode) for folder in folders):
        yield


@contextmanager
def of_modes(modes: Iterable[tuple[Path, int]]) -> Iterator[None]:
    """Each of its own mode."""
    with ExitStack() as restored:
        for folder, mode in modes:
            restored.callback(folder.chmod, 0o700)
            folder.chmod(mode)
        yield


@contextmanager
def mounted_at(folder: Path, *steps: Sequence[str]) -> Iterator[None]:
    """Mounted there step by step, as mount(8) is told, for the block; the test is skipped where that may not be."""
    with ExitStack() as unmounted:
        for number, step in enumerate(steps):
            try:
                told = subprocess.run(["mount", *step, str(folder)], capture_output=True, text=True, check=False)
            except FileNotFoundError:
                pytest.skip("nothing can be mounted here: there is no mount")
            if told.returncode != 0:
                pytest.skip(f"nothing can be mounted here: {told.stderr.strip()}")
            if number == 0:
                unmounted.callback(subprocess.run, ["umount", str(folder)], check=True)
        yield


def without_rights(work: Callable[[], T]) -> T:
    """What the work comes to where modes hold for it, in a thread of its own, and in all threads and processes of it.

    Root, who owns what tests make, is told the same as any other owner then. The test is skipped where the system
    does not let go of rights.
    """
    outcome: list[T] = []
    raised: list[BaseException] = []

    def do() -> None:
        try:
            _drop()
            outcome.append(work())
        except BaseException as error:  # noqa: BLE001  # it is raised where the work was asked for
            raised.append(error)

    thread = threading.Thread(target=do)
    thread.start()
    thread.join()
    if raised:
        raise raised[0]
    return outcome[0]


def _drop() -> None:
    """The kernel keeps rights by thread, and gives those of a thread to what it starts."""
    libc = ctypes.CDLL(None, use_errno=True)
    header, rights = _Header(_VERSION_3, 0), (_Rights * 2)()
    if libc.capget(ctypes.byref(header), rights) != 0:
        raise OSError(ctypes.get_errno(), "capget")
    for right in _RIGHTS:
        rights[0].effective &= ~(1 << right)
        rights[0].permitted &= ~(1 << right)
        # A program that root starts has all of these again.
        if (
            libc.prctl(PR_CAPBSET_READ, right, 0, 0, 0) == 1
            and libc.prctl(_PR_CAPBSET_DROP, right, 0, 0, 0) != 0
            and os.geteuid() == 0
        ):
            pytest.skip(f"root's rights cannot be dropped here: {os.strerror(ctypes.get_errno())}")
    if libc.capset(ctypes.byref(header), rights) != 0:
        raise OSError(ctypes.get_errno(), "capset")

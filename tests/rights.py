"""What a process without root's rights is told by the system, also where tests are run by root."""

import ctypes
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

# Of capabilities(7): to read, write and look into what others own, or what its owner has closed.
_RIGHTS = (1, 2)
_PR_CAPBSET_READ, _PR_CAPBSET_DROP = 23, 24
_VERSION_3 = 0x20080522


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Rights(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def without_rights(work: Callable[[], T]) -> T:
    """What the work comes to where modes hold for it, in a thread of its own, and in all threads and processes of it.

    Root, who owns what tests make, is told the same as any other owner then.
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
        if libc.prctl(_PR_CAPBSET_READ, right, 0, 0, 0) == 1:
            libc.prctl(_PR_CAPBSET_DROP, right, 0, 0, 0)
    if libc.capset(ctypes.byref(header), rights) != 0:
        raise OSError(ctypes.get_errno(), "capset")

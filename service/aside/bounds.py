"""The process's own side: it answers orders, within bounds that the kernel keeps.

An order comes as a line of JSON on the standard input: {"seconds", "bytes", …}, with so many bytes of content behind
it. The answer is a line of JSON too, on the standard output: what the work comes to, with the bytes behind it that its
asker expects; or {"refused", …}; or {"storage", "why"}, an OSError's number and text, with "met_there" where it was
met in the storage; or {"failed"}, which is a fault of ours; each with "seconds", how long it computed.
"""

import json
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from typing import Any

_LONGEST_TRACE = 4_000

Answer = tuple[dict[str, Any], Iterable[bytes]]
# From an order and its content to an answer and what comes behind it. It may raise a MemoryError or an OSError.
Work = Callable[[Mapping[str, Any], bytes], Answer]


def serve(work: Work, *, beyond_memory: str) -> None:
    """Answer until the orders end, with at most as many bytes of memory as the first argument says.

    Args:
        beyond_memory: why an order that takes more is refused; `{}` stands for the bound in MiB.
    """
    most_memory = int(sys.argv[1])
    # A crash is told by its signal; it leaves no file of the size of this process behind.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_DATA, (most_memory, most_memory))
    orders, answers = sys.stdin.buffer, sys.stdout.buffer
    refusal = beyond_memory.format(most_memory >> 20)
    while line := orders.readline():
        order = json.loads(line)
        answer, behind = _within_bounds(work, order, orders.read(order["bytes"]), refusal)
        answers.write(json.dumps(answer).encode() + b"\n")
        answers.writelines(behind)
        answers.flush()


def _within_bounds(work: Work, order: Mapping[str, Any], content: bytes, beyond_memory: str) -> Answer:
    # The kernel ends this process when it has computed for so long, whatever it is at. The wall clock would count what
    # others compute, and a handler of Python's would wait until the work is through.
    began = time.process_time()
    signal.setitimer(signal.ITIMER_PROF, order["seconds"])
    behind: Iterable[bytes] = ()
    try:
        answer, behind = work(order, content)
    except MemoryError:
        answer = {"refused": beyond_memory}
    except OSError as error:
        answer = {"storage": error.errno, "why": error.strerror}
    except Exception:  # noqa: BLE001  # it is told to the process that can log it
        answer = {"failed": traceback.format_exc()[-_LONGEST_TRACE:]}
    signal.setitimer(signal.ITIMER_PROF, 0)
    return answer | {"seconds": time.process_time() - began}, behind

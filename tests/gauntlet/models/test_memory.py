"""Memory that is freed and asked for again, as a network's activations are in every batch."""

import subprocess
import sys

# Counted by the kernel in a process of its own: what a process has chosen once holds for all that it does later.
_COUNTS = """
import resource
import torch
{imports}

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        activations = [torch.ones(12 << 20) for _ in range(2)]
        del activations
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
handed_back = faults()
{choice}
faults(), faults()
print(handed_back, faults())
"""


def page_faults(imports: str, choice: str) -> tuple[int, int]:
    """Of two tensors of 48 MiB, four times over: by a process that has chosen nothing, and after a choice.

    Neither the first time, when glibc learns how large blocks are, up to 32 MiB, nor while the heap still grows.
    """
    code = _COUNTS.format(imports=imports, choice=choice)
    counted = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    handed_back, kept = map(int, counted.split())
    return handed_back, kept


def test_what_is_freed_is_kept_for_what_comes_next() -> None:
    """The kernel gives the pages once, and not each time anew; a page may be of 4 KiB or of 2 MiB."""
    imports = "from gauntlet.models.memory import keep_freed_memory"
    handed_back, kept = page_faults(imports, "assert keep_freed_memory()")
    assert handed_back > 50
    assert kept < handed_back / 10
